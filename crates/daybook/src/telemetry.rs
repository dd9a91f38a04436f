//! Logs and metrics. Logs go to standard error, so that standard output stays a command's own: `RUST_LOG` chooses;
//! `DAYBOOK_LOG=json` is for machines. Metrics are what `/metrics` says, each with what it means.

use std::io::{self, IsTerminal};

use anyhow::Context;
use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// What counts up: a name that ends in `_total`, and what it means.
const COUNTERS: [(&str, &str); 11] = [
    ("daybook_commands_total", "Commands that were answered, by command and outcome."),
    ("daybook_conflicts_total", "Decisions that were made anew because another process had changed what they rest on."),
    ("daybook_connections_refused_total", "Connections that were turned away, by the limit that they met."),
    ("daybook_snapshots_damaged_total", "Snapshots that could not be decoded and were left aside."),
    ("daybook_streams_unreadable_total", "Loads of a stream that holds an event which this program cannot read."),
    ("daybook_relay_events_total", "Events that were published to Kafka and acknowledged."),
    ("daybook_consumer_events_total", "Events that a consumer has taken in."),
    ("daybook_consumer_duplicates_total", "Messages that a consumer had taken in before."),
    ("daybook_consumer_gaps_total", "Gaps in a partition that a consumer has filled from the book."),
    ("daybook_consumer_foreign_total", "Messages that are none of this book's and were passed over."),
    ("daybook_consumer_parked_total", "Events that a consumer could not take in and has set aside."),
];
/// What goes up and down.
const GAUGES: [(&str, &str); 4] = [
    ("daybook_connected_addresses", "How many addresses are connected."),
    ("daybook_relay_position", "The position of the book up to which everything is published."),
    ("daybook_consumer_lag_events", "How many events the book is ahead of a consumer."),
    ("daybook_consumer_parked_events", "How many events a consumer has set aside."),
];
/// What is spread.
const HISTOGRAMS: [(&str, &str); 1] = [("daybook_commit_batch_commands", "How many commands went into one commit.")];

/// Starts to measure, once in a process. The handle renders what was measured as Prometheus reads it.
///
/// # Errors
/// When this process measures already.
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
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if std::env::var_os("DAYBOOK_LOG").is_some_and(|format| format == "json") {
        logs.json().init();
    } else {
        logs.with_ansi(io::stderr().is_terminal()).init();
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

    /// The names of the metrics that a source measures.
    fn measured(source: &str) -> impl Iterator<Item = String> + '_ {
        let calls = ["counter!(\"", "gauge!(\"", "histogram!(\"", ".count(\""];
        calls.into_iter().flat_map(|call| source.split(call).skip(1)).filter_map(|rest| {
            let (name, _) = rest.split_once('"')?;
            name.starts_with("daybook_").then(|| name.to_owned())
        })
    }

    #[test]
    fn every_metric_that_is_measured_says_what_it_means_and_is_named_as_prometheus_wants_it() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let crates = fs::read_dir(crates).expect("a folder").map(|entry| entry.expect("an entry").path().join("src"));
        let sources = crates.filter(|folder| folder.is_dir()).flat_map(|folder| sources(&folder));
        let text = sources.map(|source| fs::read_to_string(source).unwrap_or_default()).collect::<String>();
        let measured: BTreeSet<_> = measured(&text).collect();
        let all = || COUNTERS.iter().chain(&GAUGES).chain(&HISTOGRAMS);
        let described: BTreeSet<_> = all().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(measured, described);
        assert!(COUNTERS.iter().all(|(name, _)| name.ends_with("_total")), "a counter says that it is one");
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
