//! Reaching the broker: settings, and the topics that have to exist.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{KafkaSecurity, Topology, bounds::TOPIC_BYTES};

/// How long a question to the broker may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait before the broker is asked again whether it knows the topics.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How often a consumer looks whether the topics exist.
const LOOK_FOR_TOPICS: Duration = Duration::from_millis(500);
/// After how many such looks in vain a warning is logged, again and again.
const WARN_EVERY: u32 = 20;

fn in_ms(time: Duration) -> String {
    time.as_millis().to_string()
}

/// Where the broker is, and what it is given.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// `host:port`, separated by commas.
    pub brokers: String,
    /// The topics.
    pub topology: Topology,
    /// How many copies of each partition a new topic gets.
    pub replication: i32,
    /// How long the broker may keep a consumer waiting that has read everything; up to a minute. Apache Kafka answers as soon as
    /// something comes, so a long wait costs no time and saves questions; the embedded broker answers only when it is over.
    pub fetch_wait: Duration,
    /// TLS and login.
    pub security: KafkaSecurity,
    /// What the names of consumer groups end in, for a broker that has no access control: a stranger cannot join a group whose name
    /// cannot be guessed. All processes of a shop need the same.
    pub group_suffix: Option<String>,
}

impl KafkaSettings {
    /// The name of a consumer group on the broker.
    #[must_use]
    pub fn group(&self, name: &str) -> String {
        let suffix = self.group_suffix.as_ref().map(|suffix| format!(".{suffix}")).unwrap_or_default();
        format!("{}.{name}{suffix}", self.topology.prefix)
    }
}

/// Why the topics are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The broker refused or is out of reach.
    #[error("Kafka failed: {0}")]
    Kafka(#[from] KafkaError),
    /// A topic could not be made.
    #[error("topic {topic} could not be made: {code}")]
    NotMade {
        /// The topic.
        topic: String,
        /// What the broker said.
        code: RDKafkaErrorCode,
    },
    /// The number of partitions decides where a key goes, so it is never changed.
    #[error("topic {topic} has {actual} partitions and not {expected}")]
    Partitions {
        /// The topic.
        topic: String,
        /// How many it has.
        actual: usize,
        /// How many it should have.
        expected: i32,
    },
    /// The task that asked the broker was lost.
    #[error("asking the broker was interrupted")]
    Interrupted,
}

impl KafkaSettings {
    /// The settings that every client of the broker begins with. No other function begins a client.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        self.security.apply(&mut config);
        config.set("bootstrap.servers", &self.brokers).set("client.id", "daybook");
        config.set("reconnect.backoff.max.ms", "1000");
        // A broker that is not heard any more has not ended the connection. What it does not answer in time goes over a new one.
        config.set("socket.timeout.ms", in_ms(TIMEOUT)).set("socket.connection.setup.timeout.ms", in_ms(TIMEOUT / 2));
        // Topics are made on purpose. A producer that asks for one that was lost would get it from many a broker, with a number of
        // partitions that is not ours; and it would wait half a minute before it believes that a young one is lost.
        config.set("allow.auto.create.topics", "false").set("topic.metadata.propagation.max.ms", "5000");
        config
    }

    /// Creates the topics that do not exist. This is for the relay that leads, before it publishes.
    ///
    /// # Errors
    /// [`TopicError`] when one is not and cannot be made, or has another number of partitions.
    pub async fn ensure_topics(&self) -> Result<(), TopicError> {
        let missing = self.missing(&self.asker()?).await?;
        if missing.is_empty() {
            return Ok(());
        }
        self.make(&missing).await?;
        self.known().await
    }

    /// Waits until every topic exists. Consumers do this, because only the relay creates topics. A topic that is created again while the
    /// relay still sends messages for the lost one would begin with those messages.
    ///
    /// # Errors
    /// [`TopicError`] when the broker does not answer, or a topic has another number of partitions.
    pub(crate) async fn topics_are_there(&self) -> Result<(), TopicError> {
        let asker = self.asker()?;
        for look in 1_u32.. {
            let missing = self.missing(&asker).await?;
            if missing.is_empty() {
                break;
            }
            if look % WARN_EVERY == 0 {
                tracing::warn!(?missing, "waiting for a relay, which makes the topics");
            }
            tokio::time::sleep(LOOK_FOR_TOPICS).await;
        }
        Ok(())
    }

    /// Makes sure that the broker can be used: it answers, and those topics that are there have the right number of partitions.
    ///
    /// # Errors
    /// [`TopicError`] when it is not so.
    pub async fn check(&self) -> Result<(), TopicError> {
        self.missing(&self.asker()?).await?;
        Ok(())
    }

    async fn make(&self, missing: &BTreeSet<String>) -> Result<(), TopicError> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let topic_bytes = TOPIC_BYTES.to_string();
        let topics: Vec<_> = missing
            .iter()
            .map(|topic| {
                NewTopic::new(topic, self.topology.partitions, TopicReplication::Fixed(self.replication))
                    .set("cleanup.policy", "delete")
                    .set("retention.ms", "-1")
                    .set("max.message.bytes", &topic_bytes)
            })
            .collect();
        for made in admin.create_topics(&topics, &AdminOptions::new()).await? {
            match made {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(TopicError::NotMade { topic, code }),
            }
        }
        Ok(())
    }

    /// Waits until the topics that were made can be used: a broker remembers a topic before those of its parts know it that hold
    /// the partitions.
    async fn known(&self) -> Result<(), TopicError> {
        let (client, topology) = (self.client(), self.topology.clone());
        let look = move || {
            let consumer: BaseConsumer = client.create()?;
            let began = Instant::now();
            for shard in topology.shards() {
                while let Err(error) = consumer.fetch_watermarks(&shard.topic, shard.partition, TIMEOUT) {
                    if began.elapsed() > TIMEOUT {
                        return Err(error.into());
                    }
                    std::thread::sleep(LOOK_AGAIN);
                }
            }
            Ok(())
        };
        tokio::task::spawn_blocking(look).await.map_err(|_| TopicError::Interrupted)?
    }

    /// Asks the broker for an answer.
    ///
    /// # Errors
    /// [`TopicError`] when it does not answer in time.
    pub async fn answers(&self, patience: Duration) -> Result<(), TopicError> {
        let client = self.client();
        let ask = move || {
            let consumer: BaseConsumer = client.create()?;
            consumer.fetch_metadata(None, patience)?;
            Ok(())
        };
        tokio::task::spawn_blocking(ask).await.map_err(|_| TopicError::Interrupted)?
    }

    /// A client to ask which topics there are, as often as one likes.
    fn asker(&self) -> Result<Arc<BaseConsumer>, TopicError> {
        Ok(Arc::new(self.client().create()?))
    }

    async fn missing(&self, asker: &Arc<BaseConsumer>) -> Result<BTreeSet<String>, TopicError> {
        let (consumer, topology) = (Arc::clone(asker), self.topology.clone());
        let look = move || {
            let metadata = consumer.fetch_metadata(None, TIMEOUT)?;
            let mut missing: BTreeSet<String> = topology.topics().into_iter().collect();
            for topic in metadata.topics().iter().filter(|topic| topic.error().is_none()) {
                let actual = topic.partitions().len();
                let expected = topology.partitions;
                if missing.remove(topic.name()) && i32::try_from(actual) != Ok(expected) {
                    return Err(TopicError::Partitions { topic: topic.name().to_owned(), actual, expected });
                }
            }
            Ok(missing)
        };
        tokio::task::spawn_blocking(look).await.map_err(|_| TopicError::Interrupted)?
    }
}
