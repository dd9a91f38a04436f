//! Orders from another system.

use std::{
    io::{BufRead, BufReader},
    path::Path,
};

use daybook_bus::Bus;
use daybook_domain::order::ImportOrder;
use serde_json::Value;

use super::{Import, Rejection, Summary, open, submit};

pub(super) async fn import(bus: Bus, file: &Path) -> anyhow::Result<Summary> {
    let (bytes, bar) = open(file)?;
    let mut running = Import::new(file);
    let mut damage = None;
    for line in BufReader::new(bytes).split(b'\n') {
        let line = match line {
            Ok(line) => line,
            Err(error) => {
                damage = Some(error);
                break;
            }
        };
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<ImportOrder>(&line) {
            Ok(order) => {
                let (bus, record) = (bus.clone(), serde_json::from_slice(&line)?);
                running.send(submit(bus, order.into(), record, &["already_imported"])).await?;
            }
            Err(error) => running.reject(unreadable(&line, &error))?,
        }
    }
    let summary = running.finish().await?;
    bar.finish_and_clear();
    match damage {
        None => Ok(summary),
        Some(damage) => Err(super::damaged(file, &summary, &damage)),
    }
}

fn unreadable(line: &[u8], error: &serde_json::Error) -> Rejection {
    let code = if error.is_data() { "invalid_record" } else { "malformed_json" };
    let as_text = |_| Value::String(String::from_utf8_lossy(line).into_owned());
    let record = serde_json::from_slice(line).unwrap_or_else(as_text);
    Rejection { record, code: code.to_owned(), reason: error.to_string() }
}
