//! The embedded broker as a process of its own, so that it can be killed: `nemesis __broker`.
//!
//! It prints its address and then obeys lines of its standard input: `down` and `up` take it off the network and back. It ends with
//! its input.

use std::io::{BufRead, Write};

use daybook::config::Topics;
use rdkafka::mocking::MockCluster;

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "__broker";

/// How many partitions each topic has.
pub const PARTITIONS: i32 = 4;

/// What the names of topics begin with, of a run.
#[must_use]
pub fn topics(prefix: &str) -> Topics {
    Topics { topic_prefix: prefix.to_owned(), partitions: PARTITIONS, replication: 1 }
}

/// Is the broker until nobody wants it any more.
///
/// # Errors
/// When librdkafka refuses.
pub fn run(prefix: &str) -> anyhow::Result<()> {
    let cluster = MockCluster::new(1)?;
    for topic in topics(prefix).embedded() {
        cluster.create_topic(&topic.name, topic.partitions, 1)?;
    }
    println!("broker at {}", cluster.bootstrap_servers());
    std::io::stdout().flush()?;
    for line in std::io::stdin().lock().lines() {
        match line?.as_str() {
            "down" => cluster.broker_down(1)?,
            "up" => cluster.broker_up(1)?,
            other => anyhow::bail!("the broker was told {other:?}"),
        }
    }
    Ok(())
}
