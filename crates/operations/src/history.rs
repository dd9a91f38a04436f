//! `daybook history order ID`: replaying one order: its state at a moment, its events, and the changes between two versions.

use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::SecondsFormat;
use clap::{Parser, Subcommand};
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use daybook_codec::history::{Difference, StoredEvent, differences, fold_order};
use daybook_domain::{Fold, Timestamp, ids::OrderId, order::Order};
use daybook_event_store::{AsOf, RecordedEvent};
use serde_json::{Value, json};

use crate::{Connection, Usage, print_line};

/// The flags of `daybook history`.
#[derive(Debug, Clone, Parser)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// An order.
    Order {
        /// The order.
        id: OrderId,
        /// The order as of this time (RFC 3339).
        #[arg(long, conflicts_with = "version")]
        at: Option<Timestamp>,
        /// The order as of this version.
        #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
        version: Option<i32>,
        /// The changes between two versions. Version 0 is before the first event.
        #[arg(long, num_args = 2, value_names = ["FROM", "TO"], conflicts_with_all = ["at", "version"],
              value_parser = clap::value_parser!(i32).range(0..))]
        diff: Option<Vec<i32>>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Prints the history.
///
/// # Errors
/// When there is no such order, or the book cannot be read.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let What::Order { id, at, version, diff, json } = args.what;
    let as_of = match (at, version) {
        (Some(time), _) => AsOf::Time(time.utc()),
        (None, Some(version)) => AsOf::Version(version),
        (None, None) => AsOf::Now,
    };
    let book = args.connection.book()?;
    let stream = Order::stream(&id);
    let mut events = book.read_stream(stream.as_str(), 0, as_of).await?;
    events.iter_mut().for_each(|event| daybook_codec::rename(&mut event.event_type));
    if events.is_empty() {
        bail!("order {id} did not exist at that time");
    }
    let last = events.last().map_or(0, |event| event.version);
    let asked = version.iter().chain(diff.iter().flatten());
    if let Some(beyond) = asked.copied().find(|version| *version > last) {
        return Err(Usage(format!("order {id} has versions 1 to {last}, and not {beyond}")).into());
    }
    if let Some([from, to]) = diff.as_deref() {
        return print_diff(&state(&events, *from)?, &state(&events, *to)?, json);
    }
    let state = state(&events, i32::MAX)?;
    if json {
        print_line!("{}", serde_json::to_string(&json!({ "state": state, "events": events }))?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["version", "what", "when", "who", "position"]);
    for event in &events {
        table.add_row([
            event.version.to_string(),
            event.event_type.clone(),
            event.effective_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            event.actor.clone(),
            event.position.to_string(),
        ]);
    }
    print_line!("{table}\n{}", serde_json::to_string_pretty(&state)?);
    Ok(ExitCode::SUCCESS)
}

/// The domain's own fold of the events up to a version, as JSON.
fn state(events: &[RecordedEvent], version: i32) -> anyhow::Result<Value> {
    let stored = events.iter().filter(|event| event.version <= version).map(|event| StoredEvent {
        event_type: &event.event_type,
        schema_version: event.schema_version,
        data: event.data.as_bytes().into(),
        effective_at: event.effective_at,
    });
    let order = fold_order(stored).context("an event of the order cannot be read")?;
    Ok(serde_json::to_value(order)?)
}

fn print_diff(before: &Value, after: &Value, json: bool) -> anyhow::Result<ExitCode> {
    let changed = differences(before, after).into_iter();
    let changed = changed.map(|Difference { path, before, after }| (path, before.into(), after.into()));
    let changed: Vec<(String, Value, Value)> = changed.collect();
    if json {
        let listed =
            changed.iter().map(|(path, before, after)| json!({ "path": path, "before": before, "after": after }));
        print_line!("{}", serde_json::to_string(&listed.collect::<Vec<_>>())?);
        return Ok(ExitCode::SUCCESS);
    }
    for (path, before, after) in changed {
        print_line!("{path}: {before} → {after}");
    }
    Ok(ExitCode::SUCCESS)
}
