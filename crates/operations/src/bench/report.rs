//! The report of a measurement: a table for people, one JSON object for machines.

use std::time::Duration;

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;
use serde_json::{Map, Value};

use super::load::Tally;
use crate::print_line;

/// The rate a second.
pub(super) fn per_second(count: i64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let count = count as f64;
    count / time.as_secs_f64()
}

/// The rate of the bare database for the same writes, measured in the same run.
#[derive(Debug, Serialize)]
pub(super) struct Ceiling {
    /// What was measured.
    pub(super) what: String,
    /// Events written a second.
    pub(super) events_per_s: f64,
}

/// A measurement.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    bench: &'static str,
    clients: u32,
    seconds: f64,
    commands: u64,
    commands_per_s: f64,
    events_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    refused: u64,
    conflicts: u64,
    errors: u64,
    ceiling: Ceiling,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl Report {
    /// A report of the outcomes of calls and the number of events that they wrote.
    pub(super) fn new(bench: &'static str, clients: u32, tally: &Tally, events: i64, ceiling: Ceiling) -> Self {
        let [p50_ms, p99_ms] = tally.percentiles([50, 99]);
        Self {
            bench,
            clients,
            seconds: tally.elapsed.as_secs_f64(),
            commands: tally.done,
            commands_per_s: tally.per_second(),
            events_per_s: per_second(events, tally.elapsed),
            p50_ms,
            p99_ms,
            refused: tally.refused,
            conflicts: 0,
            errors: tally.failed,
            ceiling,
            more: Map::new(),
        }
    }

    /// Adds the number of decisions that were repeated after a write of another process.
    pub(super) const fn conflicting(mut self, conflicts: u64) -> Self {
        self.conflicts = conflicts;
        self
    }

    /// Adds a figure that only this measurement has.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// Prints it as a table, or as one JSON object.
    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        let value = serde_json::to_value(self)?;
        if json {
            print_line!("{value}");
            return Ok(());
        }
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY);
        add_rows(&mut table, "", &value);
        print_line!("{table}");
        Ok(())
    }
}

/// Adds a figure to the table. The figures of an object are added one by one, with the path as their name.
fn add_rows(table: &mut Table, name: &str, value: &Value) {
    let shown = match value {
        Value::Object(parts) => {
            for (part, value) in parts {
                let name = if name.is_empty() { part.clone() } else { format!("{name} {part}") };
                add_rows(table, &name, value);
            }
            return;
        }
        Value::Number(number) if number.is_f64() => format!("{:.2}", number.as_f64().unwrap_or_default()),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    table.add_row([name, &shown]);
}
