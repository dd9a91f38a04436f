//! The broker under test: the embedded one, or with `KAFKA_BROKERS` a real one. Every test has topics of its own.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use daybook_event_stream::{
    KafkaSecurity, KafkaSettings, Login, SaslMechanism, SecurityProtocol, SliceTopic, Topology,
    broker::{self, Broker, FETCH_WAIT},
};
use futures::executor::block_on;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
};

use crate::world::{PATIENCE, until};

pub(crate) const PARTITIONS: i32 = 3;

static PREFIXES: AtomicU64 = AtomicU64::new(1);

/// The address of the real broker, if `KAFKA_BROKERS` names one.
pub(crate) fn real() -> Option<String> {
    std::env::var("KAFKA_BROKERS").ok().filter(|brokers| !brokers.is_empty())
}

/// TLS and login at the real broker, if `KAFKA_CA` names the file of its authority.
pub(crate) fn security() -> KafkaSecurity {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let Some(ca_file) = variable("KAFKA_CA") else { return KafkaSecurity::default() };
    secured(&ca_file, &variable("KAFKA_PASSWORD").unwrap_or_default())
}

/// TLS with an authority, and the login of the tests with a password.
pub(crate) fn secured(ca_file: &str, password: &str) -> KafkaSecurity {
    let username = std::env::var("KAFKA_USERNAME").unwrap_or_default();
    let login = Login { mechanism: SaslMechanism::ScramSha512, username, password: password.into() };
    let security = KafkaSecurity::new(SecurityProtocol::SaslSsl, Some(login), Some(ca_file.into()), BTreeMap::new());
    security.expect("the settings fit together")
}

/// The fetch wait of the engine. It is shorter on a real broker, which answers a waiting consumer only at the end of the wait.
pub(crate) fn fetch_wait() -> Duration {
    if real().is_some() { Duration::from_millis(500) } else { FETCH_WAIT }
}

/// The topics of one test. They are deleted when this is dropped.
pub(crate) struct Topics {
    pub(crate) settings: KafkaSettings,
    // None with a real broker.
    embedded: Option<Broker>,
}

/// The three slices of the tests.
pub(crate) fn topology(prefix: String, partitions: i32) -> Topology {
    let slice = |name: &str, prefixes: &[&str]| SliceTopic {
        slice: name.into(),
        stream_prefixes: prefixes.iter().map(|prefix| (*prefix).into()).collect(),
    };
    let slices = vec![slice("cart", &["cart"]), slice("catalog", &["product", "sku"]), slice("order", &["order"])];
    Topology { prefix, partitions, slices }
}

/// A prefix that is unique, also among earlier runs on the same broker.
fn prefix() -> String {
    let random = RandomState::new().hash_one(process::id());
    format!("daybook-test-{random:x}-{}", PREFIXES.fetch_add(1, Ordering::Relaxed))
}

async fn embedded(topology: &Topology) -> Broker {
    let topic = |name| broker::Topic { name, partitions: topology.partitions };
    Broker::start(topology.topics().into_iter().map(topic).collect()).await.expect("a broker starts")
}

impl Topics {
    /// New topics. On a real broker the engine creates them, over the wire.
    pub(crate) async fn new(partitions: i32) -> Self {
        let topics = Self::named(partitions).await;
        topics.settings.ensure_topics().await.expect("the topics can be created");
        topics
    }

    /// New topics. On a real broker these are only names, until a test creates the topics.
    pub(crate) async fn named(partitions: i32) -> Self {
        let topology = topology(prefix(), partitions);
        let (brokers, embedded) = match real() {
            Some(brokers) => (brokers, None),
            None => {
                let broker = embedded(&topology).await;
                (broker.bootstrap_servers().to_owned(), Some(broker))
            }
        };
        Self {
            settings: KafkaSettings {
                brokers,
                topology,
                replication: 1,
                fetch_wait: fetch_wait(),
                security: security(),
                group_suffix: None,
            },
            embedded,
        }
    }

    /// New topics on a broker of the test's own.
    pub(crate) async fn at(brokers: String) -> Self {
        let settings = KafkaSettings {
            brokers,
            topology: topology(prefix(), PARTITIONS),
            replication: 1,
            fetch_wait: fetch_wait(),
            security: security(),
            group_suffix: None,
        };
        settings.ensure_topics().await.expect("the topics can be created");
        Self { settings, embedded: None }
    }

    /// Replaces all topics with empty ones.
    pub(crate) async fn lose_all(&mut self) {
        if self.embedded.is_some() {
            let broker = embedded(&self.settings.topology).await;
            self.settings.brokers = broker.bootstrap_servers().to_owned();
            self.embedded = Some(broker);
        } else {
            for topic in self.settings.topology.topics() {
                self.delete(&topic).await;
            }
            self.settings.ensure_topics().await.expect("the topics can be created");
        }
    }

    /// Deletes a topic, and waits until the broker has removed it. Only a real broker can do that.
    pub(crate) async fn delete(&self, topic: &str) {
        let deleted = self.admin().delete_topics(&[topic], &AdminOptions::new()).await.expect("the broker answers");
        assert_eq!(deleted, [Ok(topic.to_owned())]);
        // The controller answers before the broker has updated its metadata.
        until("the topic is removed", async || self.partitions_of(topic) == 0).await;
    }

    /// The number of partitions of a topic. 0 while the topic does not exist.
    pub(crate) fn partitions_of(&self, topic: &str) -> usize {
        let consumer: BaseConsumer = self.client().create().expect("a client");
        let metadata = consumer.fetch_metadata(None, PATIENCE).expect("the broker answers");
        metadata.topics().iter().find(|known| known.name() == topic).map_or(0, |known| known.partitions().len())
    }

    /// Deletes all but the last `kept` messages of each partition, as retention does. Only a real broker can do that.
    pub(crate) async fn delete_heads(&self, kept: i64) {
        let consumer: BaseConsumer = self.client().create().expect("a client");
        let mut before = TopicPartitionList::new();
        for topic in self.settings.topology.topics() {
            for partition in 0..self.settings.topology.partitions {
                let (low, high) = consumer.fetch_watermarks(&topic, partition, PATIENCE).expect("the broker answers");
                let offset = Offset::Offset((high - kept).max(low));
                before.add_partition_offset(&topic, partition, offset).expect("an offset");
            }
        }
        let deleted = self.admin().delete_records(&before, &AdminOptions::new()).await.expect("the broker answers");
        for partition in deleted.elements() {
            partition.error().expect("the records are deleted");
        }
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.settings.brokers);
        self.settings.security.apply(&mut config);
        config
    }

    pub(crate) fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("a client")
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        if self.embedded.is_some() {
            return;
        }
        let topics = self.settings.topology.topics();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        match block_on(self.admin().delete_topics(&topics, &AdminOptions::new())) {
            Ok(deleted) => {
                for (topic, code) in deleted.into_iter().filter_map(Result::err) {
                    // The test may have deleted the topic itself.
                    if code != RDKafkaErrorCode::UnknownTopicOrPartition {
                        eprintln!("topic {topic} was not deleted: {code}");
                    }
                }
            }
            Err(error) => eprintln!("topics {topics:?} were not deleted: {error}"),
        }
    }
}
