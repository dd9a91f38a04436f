//! Deliveries: each row is one, and the id of its command derives from what identifies it. So the bus recognises a delivery that is
//! imported twice, whatever the name of the file is.
//!
//! - A delivery with a reference is identified by the reference, the SKU and the location. Another quantity under them is a conflict.
//! - A delivery without a reference is identified by its contents.
//! - Equal rows of one file are counted: each is a delivery of its own. Rows of one file with one reference and different quantities are
//!   a conflict, too.

use std::collections::{HashMap, hash_map::Entry};

use daybook_domain::{Quantity, inventory::ReceiveStock, text::TextError};
use uuid::Uuid;

use super::{
    Importer, Outcome, actor,
    file::{Columns, Opened, Row},
    present::Present,
    running::{self, Imported, Rejected},
    sent,
};

/// The namespace of ids of imported deliveries (a random UUID, fixed for ever).
const DELIVERIES: Uuid = Uuid::from_u128(0x1b0c_67a5_2d1e_4f7f_8c3a_5e9d_04b2_71f6);
/// The namespace of ids of imported deliveries that have a reference (a random UUID, fixed for ever).
const REFERENCES: Uuid = Uuid::from_u128(0x64d2_90ae_5b17_4c8e_b0f3_7a1c_e825_9d4b);

/// The columns of deliveries.
const COLUMNS: Columns = Columns { required: &["sku", "quantity"], optional: &["location", "reference"], either: &[] };

pub(super) async fn import(
    importer: Importer,
    present: Present,
    rejected: Rejected,
    opened: Opened,
) -> anyhow::Result<Imported> {
    let records = opened.rows(COLUMNS)?;
    let mut deliveries = Deliveries::default();
    let imported = running::import(rejected, records, async |row: Row| match command(&row) {
        Ok(command) => match deliveries.ids(&command) {
            Ok(ids) => Ok(Ok(receive(importer.clone(), present.clone(), row, command, ids))),
            Err(first) => {
                let reason =
                    format!("the file has a delivery of this SKU, location and reference before, of {first} units");
                Ok(Err(row.rejected("conflict", reason)))
            }
        },
        Err(reason) => Ok(Err(row.rejected("invalid_record", reason))),
    });
    Ok(imported.await)
}

fn command(row: &Row) -> Result<ReceiveStock, String> {
    let named = |column: &'static str| move |error: TextError| format!("{column}: {error}");
    let quantity = row.text("quantity");
    let units: i64 = quantity.parse().map_err(|_| format!("quantity: `{quantity}` is not a whole number"))?;
    let location = row.stated("location").map(str::parse).transpose().map_err(named("location"))?;
    Ok(ReceiveStock {
        sku: row.text("sku").parse().map_err(named("sku"))?,
        location: location.unwrap_or_default(),
        quantity: Quantity::new(units).map_err(|error| format!("quantity: {error}"))?,
        reference: row.stated("reference").map(str::parse).transpose().map_err(named("reference"))?,
    })
}

/// The ids under which the book may know a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ids {
    /// The id of its command.
    command: Uuid,
    /// The id that it had when all deliveries were identified by their contents, where that differs.
    former: Option<Uuid>,
}

/// The deliveries of a file so far: how often each occurred and its quantity, by a digest of what identifies it. A digest has 16 bytes,
/// however long the row is.
#[derive(Debug, Default)]
struct Deliveries(HashMap<Uuid, (u64, Quantity)>);

impl Deliveries {
    /// The ids of the next delivery. The error is the quantity of an earlier one with its reference, where that is another.
    fn ids(&mut self, delivery: &ReceiveStock) -> Result<Ids, Quantity> {
        let quantity = delivery.quantity;
        let Some(reference) = &delivery.reference else {
            let command = self.next(&DELIVERIES, &contents(delivery), quantity)?;
            return Ok(Ids { command, former: None });
        };
        let identity = format!("{}\n{}\n{reference}", delivery.sku, delivery.location);
        let command = self.next(&REFERENCES, &identity, quantity)?;
        Ok(Ids { command, former: Some(self.next(&DELIVERIES, &contents(delivery), quantity)?) })
    }

    fn next(&mut self, namespace: &Uuid, identity: &str, quantity: Quantity) -> Result<Uuid, Quantity> {
        let digest = Uuid::new_v5(namespace, identity.as_bytes());
        let before = match self.0.entry(digest) {
            Entry::Vacant(first) => first.insert((0, quantity)).0,
            Entry::Occupied(known) if known.get().1 != quantity => return Err(known.get().1),
            Entry::Occupied(mut known) => {
                known.get_mut().0 += 1;
                known.get().0
            }
        };
        Ok(Uuid::new_v5(namespace, format!("{identity}\n{before}").as_bytes()))
    }
}

/// The contents of a delivery, in the form that ids have always derived from.
fn contents(delivery: &ReceiveStock) -> String {
    let ReceiveStock { sku, location, quantity, reference } = delivery;
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let reference = reference.as_ref().map_or_else(|| "null".to_owned(), |reference| text(reference.as_str()));
    format!(
        r#"{{"sku":{},"location":{},"quantity":{quantity},"reference":{reference}}}"#,
        text(sku.as_str()),
        text(location.as_str())
    )
}

async fn receive(
    importer: Importer,
    present: Present,
    row: Row,
    command: ReceiveStock,
    ids: Ids,
) -> anyhow::Result<Outcome> {
    if let Some(former) = ids.former
        && present.has_command(former, &actor().to_string()).await?
    {
        return Ok(Outcome::Unchanged);
    }
    match sent(&importer.bus, command.into(), ids.command).await? {
        Ok(receipt) if receipt.replayed => Ok(Outcome::Unchanged),
        Ok(_) => Ok(Outcome::Created),
        Err((code, _)) if code == "key_reused" => {
            let reason = "the book has a delivery of this SKU, location and reference, with another quantity";
            Ok(Outcome::Rejected(row.rejected("conflict", reason)))
        }
        Err((code, reason)) => Ok(Outcome::Rejected(row.rejected(&code, reason))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(sku: &str, quantity: i64, reference: Option<&str>) -> ReceiveStock {
        ReceiveStock {
            sku: sku.parse().expect("a SKU"),
            location: daybook_domain::ids::LocationId::default(),
            quantity: Quantity::new(quantity).expect("a quantity"),
            reference: reference.map(|text| text.parse().expect("a reference")),
        }
    }

    #[test]
    fn the_ids_of_deliveries_are_pinned_and_memory_does_not_grow_with_the_length_of_rows() {
        let mut deliveries = Deliveries::default();
        let with_reference = contents(&delivery("oat", 5, Some("A\\\"1")));
        assert_eq!(with_reference, r#"{"sku":"oat","location":"main","quantity":5,"reference":"A\\\"1"}"#);
        let (oat, soy) = (delivery("oat", 5, None), delivery("soy", 5, None));
        let ids = [&oat, &soy, &oat].map(|delivery| deliveries.ids(delivery).expect("it is no conflict"));
        let pinned = [
            "32d7d97d-8fa9-5043-932c-502c6a2e02f0",
            "8c73886e-0b4f-50da-bb21-01b709ca3965",
            "366cb522-b847-5900-880f-ba820d1a4050",
        ];
        assert_eq!(ids.map(|ids| ids.command.to_string()), pinned);
        assert!(ids.iter().all(|ids| ids.former.is_none()));
        let Deliveries(seen) = deliveries;
        assert_eq!(seen.len(), 2, "one digest for each content");
    }

    #[test]
    fn a_reference_identifies_a_delivery_whatever_its_quantity_is() {
        let of = |deliveries: &mut Deliveries, quantity| deliveries.ids(&delivery("oat", quantity, Some("N-1")));
        let ids = |quantity| of(&mut Deliveries::default(), quantity).expect("it is the first");
        assert_eq!(ids(5).command, ids(6).command);
        assert_ne!(ids(5).former, ids(6).former);
        let mut deliveries = Deliveries::default();
        let [first, second] = [5, 5].map(|quantity| of(&mut deliveries, quantity).expect("they are equal"));
        assert_ne!(first.command, second.command, "each row is a delivery");
        assert_eq!(of(&mut deliveries, 6), Err(Quantity::new(5).expect("a quantity")), "one reference, two quantities");
    }
}
