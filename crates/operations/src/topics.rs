//! The topics, as flags.

use std::time::Duration;

use clap::Args;
use daybook_event_stream::{
    KafkaSecurity, KafkaSettings,
    broker::{self, Topic},
};

/// The topics.
#[derive(Debug, Clone, Args)]
pub struct Topics {
    /// The prefix of topic names: letters, digits and `. _ -`.
    #[arg(long, env = "DAYBOOK_TOPIC_PREFIX", default_value = "daybook", value_parser = prefix)]
    pub topic_prefix: String,
    /// The partitions of each topic. The number never changes once the topics are made.
    #[arg(long, env = "DAYBOOK_PARTITIONS", default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=1_000))]
    pub partitions: i32,
    /// The replicas of each partition of a new topic.
    #[arg(long, env = "DAYBOOK_REPLICATION", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=9))]
    pub replication: i32,
    /// How long a broker may hold the fetch of a consumer that has read everything, in milliseconds: 500, or 20 with the embedded
    /// broker.
    #[arg(long, env = "DAYBOOK_FETCH_WAIT_MS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub fetch_wait_ms: Option<u64>,
}

/// The longest prefix. The name of a topic has 249 characters at most.
const MAX_PREFIX: usize = 200;

/// Reads a prefix of names that Kafka takes.
fn prefix(text: &str) -> Result<String, String> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=MAX_PREFIX).contains(&text.len()) && text.bytes().all(is_legal) {
        return Ok(text.to_owned());
    }
    Err(format!("names of topics have letters, digits and `. _ -`, and a prefix has 1 to {MAX_PREFIX} of them"))
}

/// The default of librdkafka.
const FETCH_WAIT: Duration = Duration::from_millis(500);

impl Topics {
    /// The topics for the embedded broker.
    #[must_use]
    pub fn embedded(&self) -> Vec<Topic> {
        let names = self.at("").topology.topics();
        names.into_iter().map(|name| Topic { name, partitions: self.partitions }).collect()
    }

    /// The broker at an address, with these topics.
    #[must_use]
    pub fn at(&self, brokers: &str) -> KafkaSettings {
        self.waiting_at_most(FETCH_WAIT, brokers)
    }

    /// The embedded broker at an address, with these topics.
    #[must_use]
    pub fn at_embedded(&self, brokers: &str) -> KafkaSettings {
        self.waiting_at_most(broker::FETCH_WAIT, brokers)
    }

    fn waiting_at_most(&self, wait: Duration, brokers: &str) -> KafkaSettings {
        KafkaSettings {
            brokers: brokers.to_owned(),
            topology: daybook_projectors::topology(&self.topic_prefix, self.partitions),
            replication: self.replication,
            fetch_wait: self.fetch_wait_ms.map_or(wait, Duration::from_millis),
            security: KafkaSecurity::default(),
            group_suffix: None,
        }
    }
}
