//! Records as a table for people, or as JSON.

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;
use serde_json::Value;

use crate::print_line;

/// Prints records as JSON, or as a table of these columns.
pub(crate) fn print<T: Serialize>(json: bool, records: &[T], columns: &[&str]) -> anyhow::Result<()> {
    if json {
        print_line!("{}", serde_json::to_string(records)?);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(columns);
    for record in records {
        let record = serde_json::to_value(record)?;
        table.add_row(columns.iter().map(|column| match &record[column] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        }));
    }
    print_line!("{table}");
    Ok(())
}
