//! Deliveries: each line is one. The id of its command is derived from the contents of the line and from the number of equal lines
//! before it. So the bus recognises a delivery that is imported twice, whatever the name of the file is.

use std::{collections::HashMap, path::Path};

use daybook_bus::{Bus, CommandError, Submission};
use daybook_domain::{Actor, inventory::ReceiveStock};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Outcome, Rejection,
    records::Records,
    running::{self, Imported},
};

/// The namespace of ids of imported deliveries (a random UUID, fixed for ever).
const DELIVERIES: Uuid = Uuid::from_u128(0x1b0c_67a5_2d1e_4f7f_8c3a_5e9d_04b2_71f6);

#[derive(Debug, Clone, Deserialize)]
struct Line {
    sku: String,
    quantity: i64,
    #[serde(default)]
    location: Option<String>,
    #[serde(default)]
    reference: Option<String>,
}

pub(super) async fn import(bus: Bus, file: &Path) -> anyhow::Result<Imported> {
    let records = Records::csv(file, &["sku", "quantity"])?;
    let mut deliveries = Deliveries::default();
    let imported = running::import(file, records, async |line: Line| match command(&line) {
        Ok((command, record)) => {
            let id = deliveries.command_id(&serde_json::to_string(&command)?);
            Ok(Ok(receive(bus.clone(), command, record, id)))
        }
        Err(rejection) => Ok(Err(rejection)),
    });
    Ok(imported.await)
}

/// The deliveries of a file so far: how often each content occurred, by its digest. A digest has 16 bytes, however long the line is.
#[derive(Debug, Default)]
struct Deliveries(HashMap<Uuid, u64>);

impl Deliveries {
    /// The id of the command of the next delivery with this content.
    fn command_id(&mut self, content: &str) -> Uuid {
        let digest = Uuid::new_v5(&DELIVERIES, content.as_bytes());
        let before = self.0.entry(digest).and_modify(|count| *count += 1).or_default();
        Uuid::new_v5(&DELIVERIES, format!("{content}\n{before}").as_bytes())
    }
}

fn command(line: &Line) -> Result<(ReceiveStock, Value), Rejection> {
    let mut record = json!({ "sku": line.sku, "quantity": line.quantity });
    for (field, text) in [("location", &line.location), ("reference", &line.reference)] {
        if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
            record[field] = json!(text);
        }
    }
    match serde_json::from_value(record.clone()) {
        Ok(command) => Ok((command, record)),
        Err(error) => Err(Rejection { record, code: "invalid_record".to_owned(), reason: error.to_string() }),
    }
}

async fn receive(bus: Bus, command: ReceiveStock, record: Value, id: Uuid) -> anyhow::Result<Outcome> {
    match bus.execute_patiently(Submission::new(command, id, Actor::Admin("import".to_owned()))).await {
        Ok(receipt) if receipt.replayed => Ok(Outcome::AlreadyThere),
        Ok(_) => Ok(Outcome::Imported),
        Err(CommandError::Refused { refusal, .. }) => {
            Ok(Outcome::Rejected(Rejection { record, code: refusal.code().to_owned(), reason: refusal.to_string() }))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_deliveries_are_pinned_and_memory_does_not_grow_with_the_length_of_lines() {
        let mut deliveries = Deliveries::default();
        let (oat, soy) =
            (r#"{"sku":"oat","location":"main","quantity":5}"#, r#"{"sku":"soy","location":"main","quantity":5}"#);
        let ids = [oat, soy, oat].map(|content| deliveries.command_id(content).to_string());
        let pinned = [
            "6eca0d1f-1da8-55c7-86dd-5937c2f0d19e",
            "596dcec7-9396-5235-bf2d-d1d411cbe070",
            "b52b91ed-2c9e-5b43-828e-ce17c0fea03c",
        ];
        assert_eq!(ids, pinned);
        let Deliveries(seen) = deliveries;
        assert_eq!(seen.len(), 2, "one digest for each content");
    }
}
