//! A Kafka broker inside this process: librdkafka's own cluster, which speaks the real protocol on a loopback port.
//!
//! Its limits, which the engine is designed around: it keeps nothing on disk and only the tail of each partition
//! ([`RETAINED_BYTES_PER_PARTITION`]), topics are made here and not over the wire, there is one broker and no access
//! control. Topics are
//! republished from the daybook, and consumers fill gaps from it, so none of that loses an event.

use std::{sync::mpsc, thread, time::Duration};

use rdkafka::{
    ClientConfig, bindings,
    error::KafkaError,
    mocking::MockCluster,
    producer::{BaseProducer, DefaultProducerContext, Producer},
    types::RDKafkaErrorCode,
};
use tokio::sync::oneshot;

/// What the broker keeps of each partition: the newest record batches that fit in this many bytes. Older ones are gone,
/// and a consumer that asks for them gets the answer that its offset is out of range.
pub const RETAINED_BYTES_PER_PARTITION: usize = 5 * 1024 * 1024;

/// How long a consumer that has read everything should let it wait. It answers a question for more only after that time, even when
/// something comes meanwhile.
pub const FETCH_WAIT: Duration = Duration::from_millis(20);

/// What the broker keeps of each partition, in record batches, whichever limit is met first.
pub const RETAINED_BATCHES_PER_PARTITION: usize = 100_000;

/// How long a new consumer group waits for more members before it gets its partitions. The views stand still for so long when the
/// process starts.
pub const FIRST_REBALANCE_DELAY: Duration = Duration::from_millis(50);

/// A topic to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Into how many partitions it is cut.
    pub partitions: i32,
}

/// Why there is no broker.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// librdkafka refused.
    #[error("the embedded broker: {0}")]
    Kafka(#[from] KafkaError),
    /// The thread it lives on could not be started, or is gone.
    #[error("the embedded broker has no thread: {0}")]
    Thread(String),
}

/// A broker that runs. It lives until it is dropped.
pub struct Broker {
    bootstrap_servers: String,
    hold: Option<mpsc::Sender<std::convert::Infallible>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Broker {
    /// Starts a broker with these topics, and returns when clients can connect.
    ///
    /// # Errors
    /// [`BrokerError`] when librdkafka or the system refuses.
    pub async fn start(topics: Vec<Topic>) -> Result<Self, BrokerError> {
        let (hold, released) = mpsc::channel::<std::convert::Infallible>();
        let (tell, ready) = oneshot::channel();
        // The cluster is bound to one thread, so it gets one, which sleeps until the broker is dropped.
        let thread = thread::Builder::new()
            .name("embedded-broker".to_owned())
            .spawn(move || {
                let host = host();
                let address = host
                    .as_ref()
                    .map_err(Clone::clone)
                    .and_then(|host| Ok(cluster(host, &topics)?.bootstrap_servers()));
                let runs = address.is_ok();
                if tell.send(address).is_ok() && runs {
                    // The error says that the broker was dropped. No message is ever sent.
                    released.recv().ok();
                }
            })
            .map_err(|error| BrokerError::Thread(error.to_string()))?;
        let bootstrap_servers = ready.await.map_err(|_| BrokerError::Thread("it ended early".to_owned()))??;
        Ok(Self { bootstrap_servers, hold: Some(hold), thread: Some(thread) })
    }

    /// The address for `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.hold.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the embedded broker panicked");
        }
    }
}

/// The client that the cluster lives in; they end together.
fn host() -> Result<BaseProducer, BrokerError> {
    let host: BaseProducer = ClientConfig::new().set("test.mock.num.brokers", "1").create()?;
    let delay = i32::try_from(FIRST_REBALANCE_DELAY.as_millis()).unwrap_or(i32::MAX);
    #[expect(
        unsafe_code,
        reason = "rdkafka has no safe call for this setting, and librdkafka's own 3 s are too long for a view"
    )]
    // SAFETY: the client lives, so its cluster does, and the call sets a number under the cluster's own lock.
    unsafe {
        bindings::rd_kafka_mock_group_initial_rebalance_delay_ms(
            bindings::rd_kafka_handle_mock_cluster(host.client().native_ptr()),
            delay,
        );
    }
    Ok(host)
}

/// The cluster in a client, with its topics.
fn cluster<'h>(
    host: &'h BaseProducer,
    topics: &[Topic],
) -> Result<MockCluster<'h, DefaultProducerContext>, BrokerError> {
    let cluster = host.client().mock_cluster().ok_or(KafkaError::MockCluster(RDKafkaErrorCode::Fail))?;
    for topic in topics {
        cluster.create_topic(&topic.name, topic.partitions, 1)?;
    }
    Ok(cluster)
}
