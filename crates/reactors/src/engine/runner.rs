//! Running the reactors of a process: a consumer for each of them, one feed for all, and one worker.

use std::{collections::BTreeSet, sync::Arc};

use daybook_bus::{Bus, Clock};
use daybook_event_store::Daybook;
use daybook_event_stream::{
    Consumer, Feed, KafkaSettings, Start, Topology,
    consumer::{ConsumerError, feed::ConsumerGroup, parked},
};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    effect::Reacting,
    reactor::Reactor,
    wake::Waker,
    worker::{ReactorSettings, Worker},
};

/// The consumer group of the processes that run reactors, after the prefix of the topics. All members of a group have the same
/// subscribers, and a process may run views or reactors alone. So the reactors are a group of their own, with a client of its own.
const GROUP: &str = "reactors";

/// The reactors of a process.
pub struct Reactors {
    /// The book.
    pub book: Daybook,
    /// The bus that takes the commands.
    pub bus: Bus,
    /// The clock by which reactions are due. Processes share them, so it is the database's, as far as this process knows it.
    pub clock: Clock,
    /// How reactions are sent.
    pub settings: ReactorSettings,
}

/// A task of the reactors has panicked.
#[derive(Debug, thiserror::Error)]
#[error("a reactor has stopped: {0}")]
pub struct ReactorError(#[from] JoinError);

impl Reactors {
    /// Makes each reactor that has never run begin at the head of the book as it is now. To be called before commands are taken, so
    /// that nothing happens unseen until the partitions are assigned.
    ///
    /// # Errors
    /// [`ConsumerError`] when the database failed.
    pub async fn begin(&self, topology: &Topology, reactors: &[&'static Reactor]) -> Result<(), ConsumerError> {
        for reactor in reactors {
            consumer(reactor, None, topology).begin(&self.book, topology).await?;
        }
        Ok(())
    }

    /// Runs reactors until they are stopped.
    ///
    /// # Errors
    /// [`ReactorError`] when a task is lost.
    pub async fn run(
        self,
        kafka: &KafkaSettings,
        reactors: &[&'static Reactor],
        stop: &CancellationToken,
    ) -> Result<(), ReactorError> {
        self.run_on(Feed::default(), kafka, reactors, stop).await
    }

    /// The same on a feed of the caller, which shows whether the process has joined its group.
    ///
    /// # Errors
    /// [`ReactorError`] when a task is lost.
    pub async fn run_on(
        self,
        feed: Feed,
        kafka: &KafkaSettings,
        reactors: &[&'static Reactor],
        stop: &CancellationToken,
    ) -> Result<(), ReactorError> {
        let Self { book, bus, clock, settings } = self;
        let waker = Arc::new(Waker::new(clock.clone(), settings.poll));
        let mut running = JoinSet::new();
        for &reactor in reactors {
            let (book, topology, feed, stop) = (book.clone(), kafka.topology.clone(), feed.clone(), stop.clone());
            let consumer = consumer(reactor, Some(Arc::clone(&waker)), &topology);
            running.spawn(async move {
                consumer.run(&feed, &book, &topology, &stop).await;
            });
        }
        let topics: BTreeSet<String> = reactors.iter().flat_map(|reactor| topics(reactor, &kafka.topology)).collect();
        let group = ConsumerGroup { name: GROUP.to_owned(), topics: topics.into_iter().collect() };
        let (receiving_book, kafka, receiving_stop) = (book.clone(), kafka.clone(), stop.clone());
        running.spawn(async move { feed.run(&group, &receiving_book, &kafka, &receiving_stop).await });
        let worker = Worker { book, bus, clock, settings, waker, reactors: reactors.to_vec() };
        let stop = stop.clone();
        running.spawn(async move { worker.run(&stop).await });
        while let Some(ended) = running.join_next().await {
            ended?;
        }
        Ok(())
    }
}

/// Applies the parked events of a stream to a reactor again. Returns how many there were.
///
/// # Errors
/// [`ConsumerError`]; then the stream stays parked.
pub async fn retry_parked(book: &Daybook, reactor: &'static Reactor, stream: &str) -> Result<usize, ConsumerError> {
    parked::retry(book, &reactor.consumer(), stream, &Reacting::new(reactor, None)).await
}

/// The consumer of a reactor.
fn consumer(reactor: &'static Reactor, waker: Option<Arc<Waker>>, topology: &Topology) -> Consumer<Reacting> {
    let (name, topics) = (reactor.consumer(), topics(reactor, topology));
    Consumer { name, topics, start: Start::Head, effect: Reacting::new(reactor, waker) }
}

fn topics(reactor: &Reactor, topology: &Topology) -> Vec<String> {
    reactor.slices.iter().map(|slice| topology.topic(slice.name())).collect()
}
