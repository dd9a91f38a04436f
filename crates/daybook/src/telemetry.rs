//! Logs and metrics. Logs go to standard error, since standard output belongs to the commands. `RUST_LOG` filters them, and
//! `DAYBOOK_LOG=json` makes them JSON. Metrics are served at `/metrics` of the port for operators, each with a description.

use std::io::{self, IsTerminal};

use anyhow::Context;
use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::log_limit::LogLimit;

/// Counters, with their descriptions. Their names end in `_total`.
const COUNTERS: [(&str, &str); 19] = [
    ("daybook_commands_total", "Commands that were answered, by command and outcome."),
    (
        "daybook_conflicts_total",
        "Decisions that were repeated because another process had changed a stream that they read.",
    ),
    ("daybook_commits_locked_total", "Batches that were decided while the book was locked, after conflicts."),
    ("daybook_commands_forwarded_total", "Commands that were sent to the holder of the seat, by outcome."),
    ("daybook_connections_refused_total", "Connections that were rejected, by limit."),
    ("daybook_snapshots_damaged_total", "Snapshots that could not be decoded and were ignored."),
    ("daybook_streams_unreadable_total", "Loads of a stream with an event that this program cannot read."),
    (
        "daybook_relay_set_aside_total",
        "Events that the relay has set aside, because the broker refuses them or no topic is for them.",
    ),
    ("daybook_relay_events_total", "Events that were published to Kafka and acknowledged."),
    ("daybook_consumer_events_total", "Events that a consumer has applied."),
    ("daybook_consumer_duplicates_total", "Messages that a consumer had applied before."),
    ("daybook_consumer_gaps_total", "Gaps in a partition that a consumer has filled from the book."),
    ("daybook_consumer_foreign_total", "Messages of another book or without a signature, which were skipped."),
    ("daybook_messages_not_signed_total", "Messages without a signature of this book's relay."),
    ("daybook_consumer_parked_total", "Events that a consumer could not apply and has parked."),
    ("daybook_consumer_dropped_total", "Messages that a consumer had no room for, and reads from the book."),
    ("daybook_consumer_adopted_total", "Partitions that a consumer has filled because no process moved them on."),
    ("daybook_reactions_total", "Commands that reactors have sent, by reactor and outcome."),
    ("daybook_log_lines_suppressed_total", "Lines that were left out of the log, because they were equal to others."),
];
/// Gauges, with their descriptions.
const GAUGES: [(&str, &str); 14] = [
    (
        "daybook_clock_ahead_seconds",
        "How far the clock of this process is ahead of the database's; negative where it is behind.",
    ),
    (
        "daybook_recorded_time_ahead_seconds",
        "For how long new events get no recorded times of their own, since the clock of the database was once ahead.",
    ),
    (
        "daybook_archive_lag_bytes",
        "Bytes of the write-ahead log that are not archived yet, where an archive was begun.",
    ),
    ("daybook_bus_cache_bytes", "Bytes of folded streams that are kept in memory."),
    ("daybook_bus_cache_streams", "Folded streams that are kept in memory."),
    ("daybook_connected_addresses", "Addresses with at least one connection."),
    ("daybook_seat_held", "1 while this process holds the seat and decides commands, otherwise 0."),
    ("daybook_relay_position", "The position of the book up to which everything is published."),
    ("daybook_view_lag_events", "Positions that the book is ahead of a view."),
    ("daybook_view_lag_seconds", "How long ago the first event was written that a view does not show."),
    ("daybook_consumer_lag_events", "Events that the book is ahead of a consumer."),
    ("daybook_consumer_waiting_for_upgrade", "Events of a consumer that wait for a newer program."),
    ("daybook_consumer_parked_events", "Events that a consumer has parked."),
    ("daybook_reactions_due_seconds", "For how long the first unsent reaction of a reactor has been due."),
];
/// Histograms, with their descriptions.
const HISTOGRAMS: [(&str, &str); 1] = [("daybook_commit_batch_commands", "Commands of one commit.")];

/// Starts to record metrics, once in a process. The handle renders them in the format of Prometheus.
///
/// # Errors
/// When this process records metrics already.
pub fn measure() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new().install_recorder().context("metrics cannot be recorded")?;
    for (name, meaning) in COUNTERS {
        describe_counter!(name, meaning);
    }
    for (name, meaning) in GAUGES {
        describe_gauge!(name, meaning);
    }
    for (name, meaning) in HISTOGRAMS {
        describe_histogram!(name, meaning);
    }
    Ok(handle)
}

/// Starts to log.
pub fn init() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,daybook=info,daybook_event_stream=info,daybook_projectors=info"));
    let bounded = tracing_subscriber::registry().with(filter).with(LogLimit);
    let lines = tracing_subscriber::fmt::layer().log_internal_errors(false).with_writer(io::stderr);
    if std::env::var_os("DAYBOOK_LOG").is_some_and(|format| format == "json") {
        bounded.with(lines.json()).init();
    } else {
        bounded.with(lines.with_ansi(io::stderr().is_terminal())).init();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    use super::{COUNTERS, GAUGES, HISTOGRAMS};

    fn sources(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
    }

    /// The names of the metrics that a source file records.
    fn measured(source: &str) -> impl Iterator<Item = String> + '_ {
        let calls = ["counter!(\"", "gauge!(\"", "histogram!(\"", ".count(\""];
        calls.into_iter().flat_map(|call| source.split(call).skip(1)).filter_map(|rest| {
            let (name, _) = rest.split_once('"')?;
            name.starts_with("daybook_").then(|| name.to_owned())
        })
    }

    #[test]
    fn every_recorded_metric_has_a_description_and_a_name_by_the_rules_of_prometheus() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let crates = fs::read_dir(crates).expect("a folder").map(|entry| entry.expect("an entry").path().join("src"));
        let sources = crates.filter(|folder| folder.is_dir()).flat_map(|folder| sources(&folder));
        let text = sources.map(|source| fs::read_to_string(source).unwrap_or_default()).collect::<String>();
        let measured: BTreeSet<_> = measured(&text).collect();
        let all = || COUNTERS.iter().chain(&GAUGES).chain(&HISTOGRAMS);
        let described: BTreeSet<_> = all().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(measured, described);
        assert!(COUNTERS.iter().all(|(name, _)| name.ends_with("_total")), "the name of a counter ends in _total");
        let others = GAUGES.iter().chain(&HISTOGRAMS).map(|(name, _)| name);
        let reserved = ["_total", "_count", "_sum", "_bucket"];
        assert!(others.into_iter().all(|name| !reserved.iter().any(|ending| name.ends_with(ending))));
        assert!(
            all()
                .all(|(name, meaning)| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                    && meaning.ends_with('.'))
        );
    }
}
