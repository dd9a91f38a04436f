//! Deliveries: each line is one. The id of its command is derived from the contents of the line and from the number of equal lines
//! before it. So the bus recognises a delivery that is imported twice, whatever the name of the file is.

use std::{collections::HashMap, path::Path};

use daybook_bus::{Bus, CommandError, Submission};
use daybook_domain::{Actor, inventory::ReceiveStock};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Import, Outcome, Rejection, Summary, csv_lines, open};

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

pub(super) async fn import(bus: Bus, file: &Path) -> anyhow::Result<Summary> {
    let (bytes, bar) = open(file)?;
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut running = Import::new(file);
    for line in csv_lines::<Line>(file, bytes, &["sku", "quantity"])? {
        match line?.and_then(|line| command(&line)) {
            Ok((command, record)) => {
                let content = serde_json::to_string(&command)?;
                let before = seen.entry(content.clone()).and_modify(|count| *count += 1).or_default();
                let id = Uuid::new_v5(&DELIVERIES, format!("{content}\n{before}").as_bytes());
                running.send(receive(bus.clone(), command, record, id)).await?;
            }
            Err(rejection) => running.reject(rejection)?,
        }
    }
    let summary = running.finish().await;
    bar.finish_and_clear();
    summary
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
