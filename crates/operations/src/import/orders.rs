//! Orders from another system. In NDJSON a line is an `ImportOrder`. In CSV a row is a line of an order, and the rows of an order stand
//! together.

mod apart;
mod rows;

use daybook_bus::clock::new_id;
use daybook_domain::order::ImportOrder;
use serde_json::Value;

use super::{
    Importer, Outcome, Rejection,
    file::{Format, JsonLine, Opened},
    running::{self, Imported, Rejected},
    sent,
};

pub(super) async fn import(importer: Importer, rejected: Rejected, opened: Opened) -> anyhow::Result<Imported> {
    Ok(match opened.format {
        Format::Ndjson => {
            let imported = running::import(rejected, opened.json_lines(), async |line: JsonLine| match parsed(&line) {
                Ok(order) => Ok(Ok(one(importer.clone(), order, move |code, reason| line.rejected(code, reason)))),
                Err(rejection) => Ok(Err(rejection)),
            });
            imported.await
        }
        Format::Csv => {
            let (rows, apart) = apart::rows(opened, rows::COLUMNS)?;
            let orders = rows::orders(rows, apart);
            let separator = importer.decimal_separator;
            let imported = running::import(rejected, orders, async |rows: rows::Order| match rows.command(separator) {
                Ok(order) => Ok(Ok(one(importer.clone(), order, move |code, reason| rows.rejected(code, reason)))),
                Err(reason) => Ok(Err(rows.rejected("invalid_record", reason))),
            });
            imported.await
        }
    })
}

async fn one(
    importer: Importer,
    order: ImportOrder,
    rejected: impl FnOnce(&str, String) -> Rejection,
) -> anyhow::Result<Outcome> {
    match sent(&importer.bus, order.into(), new_id()).await? {
        Ok(_) => Ok(Outcome::Created),
        Err((code, _)) if code == "already_imported" => Ok(Outcome::Unchanged),
        Err((code, reason)) => Ok(Outcome::Rejected(rejected(&code, reason))),
    }
}

fn parsed(line: &JsonLine) -> Result<ImportOrder, Rejection> {
    if let Ok(order) = serde_json::from_slice(&line.bytes) {
        return Ok(order);
    }
    let mut value: Value = serde_json::from_slice(&line.bytes).map_err(|error| line.malformed(&error))?;
    trim(&mut value);
    if let Some(currency) = value.get_mut("currency")
        && let Some(code) = currency.as_str()
    {
        *currency = code.to_ascii_uppercase().into();
    }
    // The path names the field that is wrong.
    serde_path_to_error::deserialize(value).map_err(|error| line.rejected("invalid_record", error.to_string()))
}

/// Trims every text, as in every other import.
fn trim(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.trim().to_owned(),
        Value::Array(values) => values.iter_mut().for_each(trim),
        Value::Object(fields) => fields.values_mut().for_each(trim),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(text: &str) -> Result<ImportOrder, Rejection> {
        parsed(&JsonLine { line: 7, bytes: text.as_bytes().to_vec() })
    }

    #[test]
    fn texts_are_trimmed_and_what_is_wrong_is_named() {
        let text = r##"{"external_ref":" #1001 ","customer_ref":"ann@example.org","placed_at":"2017-01-01T10:00:00Z",
                        "currency":"eur","lines":[{"sku":" AB 12","quantity":1,"line_total":5}]}"##;
        let imported = order(text).unwrap_or_else(|rejection| panic!("{}", rejection.reason));
        assert_eq!((imported.external_ref.as_str(), imported.lines[0].sku.as_str()), ("#1001", "AB 12"));
        let Err(rejection) = order(&text.replace("\"quantity\":1", "\"quantity\":\"one\"")) else {
            panic!("it is wrong")
        };
        assert_eq!((rejection.code.as_str(), rejection.line), ("invalid_record", 7));
        assert!(rejection.reason.starts_with("lines[0].quantity: "), "{}", rejection.reason);
        let Err(rejection) = order("{\"external_ref\":") else { panic!("it is wrong") };
        assert_eq!(rejection.code, "malformed_json");
    }
}
