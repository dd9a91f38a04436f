//! Orders from another system.

use std::{
    io::{BufRead, BufReader},
    path::Path,
};

use daybook_command_api::Bus;
use daybook_domain::order::command::ImportOrder;
use serde_json::Value;

use super::{Ledger, Rejection, Summary, open, submit};

pub(super) async fn import(bus: Bus, file: &Path) -> anyhow::Result<Summary> {
    let (bytes, bar) = open(file)?;
    let mut ledger = Ledger::new(file);
    for line in BufReader::new(bytes).lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<ImportOrder>(&line) {
            Ok(order) => {
                let (bus, record) = (bus.clone(), serde_json::from_str(&line)?);
                ledger.send(submit(bus, order.into(), record, &["already_imported"])).await?;
            }
            Err(error) => ledger.reject(unreadable(line, &error))?,
        }
    }
    let summary = ledger.finish().await;
    bar.finish_and_clear();
    summary
}

fn unreadable(line: String, error: &serde_json::Error) -> Rejection {
    let code = if error.is_data() { "invalid_record" } else { "malformed_json" };
    let record = serde_json::from_str(&line).unwrap_or(Value::String(line));
    Rejection { record, code: code.to_owned(), reason: error.to_string() }
}
