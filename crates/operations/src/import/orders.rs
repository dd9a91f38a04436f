//! Orders from another system.

use std::path::Path;

use daybook_bus::Bus;
use daybook_domain::order::ImportOrder;
use serde_json::Value;

use super::{
    records::Records,
    running::{self, Imported},
    submit,
};

pub(super) async fn import(bus: Bus, file: &Path) -> anyhow::Result<Imported> {
    let records = Records::ndjson(file)?;
    let imported = running::import(file, records, async |(order, record): (ImportOrder, Value)| {
        Ok(Ok(submit(bus.clone(), order.into(), record, &["already_imported"])))
    });
    Ok(imported.await)
}
