//! The engine of reactions: what a reactor is, how its reactions are kept, and how they are sent.
//!
//! A reactor is a consumer of the stream, as a view is. Its effect writes [rows](queue) in the transaction of its checkpoint, so no
//! event is forgotten and a repeated one changes nothing. [Workers](worker) claim due rows and send their commands. A command that
//! was accepted or refused is done. One that failed is tried again, with the same id, so it is done once.

mod effect;
pub mod queue;
mod worker;

use std::{collections::BTreeMap, collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use daybook_bus::{Bus, Clock};
use daybook_domain::{Command, Event, Refusal, Slice};
use daybook_event_store::{Daybook, StoreError};
use daybook_event_stream::{
    Consumer, EffectError, Feed, KafkaSettings, Start, Topology,
    consumer::{ConsumerError, feed::ConsumerGroup, parked},
};
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;

use self::effect::Reacting;

/// The consumer group of the processes that run reactors, after the prefix of the topics. It is another one than that of the
/// views, because a reactor begins at the head, and a slow one must not hold back where the views begin.
const GROUP: &str = "reactors";

/// What the engine does by itself after certain events.
pub struct Reactor {
    /// Its name, in tables, in metrics and on the command line.
    pub name: &'static str,
    /// The slices whose events it gets.
    pub slices: &'static [Slice],
    /// What it does, in words.
    pub table: &'static [Trigger],
    /// The reactions to an event that took effect at a time. Pure: the same event gives the same reactions.
    pub react: fn(&Event, DateTime<Utc>, &mut Reactions),
    /// When a reaction is to be tried again whose command was refused; never when absent.
    pub again_at: fn(&Refusal) -> Option<DateTime<Utc>>,
}

impl Reactor {
    /// The name of its consumer.
    #[must_use]
    pub fn consumer(&self) -> String {
        format!("reactor_{}", self.name)
    }

    /// Applies the parked events of a stream again. Returns how many there were.
    ///
    /// # Errors
    /// [`ConsumerError`]; then the stream stays parked.
    pub async fn retry_parked(&'static self, book: &Daybook, stream: &str) -> Result<usize, ConsumerError> {
        let effect = Reacting { reactor: self, due: &Notify::new() };
        parked::retry(book, &self.consumer(), stream, &effect).await
    }
}

/// A line of the reaction table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trigger {
    /// The events.
    pub on: &'static str,
    /// The reaction.
    pub reaction: &'static str,
}

/// A command to be sent at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Reaction {
    /// When to send it.
    pub due: DateTime<Utc>,
    /// The command.
    pub command: Command,
}

impl Reaction {
    /// A command to be sent at a time.
    #[must_use]
    pub fn at(due: DateTime<Utc>, command: impl Into<Command>) -> Self {
        Self { due, command: command.into() }
    }
}

/// The reactions to an event. Each has a key among those of its reactor: a later one of the same key replaces it.
#[derive(Debug, Default)]
pub struct Reactions(BTreeMap<String, Option<Reaction>>);

impl Reactions {
    /// Sets a reaction.
    pub fn set(&mut self, key: String, reaction: Reaction) {
        self.0.insert(key, Some(reaction));
    }

    /// Cancels the reaction of this key, if it was not sent yet.
    pub fn cancel(&mut self, key: String) {
        self.0.insert(key, None);
    }
}

/// How reactions are sent.
#[derive(Debug, Clone)]
pub struct ReactorSettings {
    /// How long a worker has a reaction to itself. After a crash another worker takes it then.
    pub lease: Duration,
    /// How many reactions are sent at once.
    pub batch: i64,
    /// The longest pause between two looks at the table. Another process may have written to it.
    pub poll: Duration,
}

impl Default for ReactorSettings {
    fn default() -> Self {
        Self { lease: Duration::from_secs(60), batch: 100, poll: Duration::from_secs(5) }
    }
}

/// The reactors of a process.
pub struct Reactors {
    /// The book.
    pub book: Daybook,
    /// The bus that takes the commands.
    pub bus: Bus,
    /// The clock by which reactions are due.
    pub clock: Clock,
    /// How reactions are sent.
    pub settings: ReactorSettings,
}

impl Reactors {
    /// Runs reactors until they are stopped. A reactor that has never run begins at the head of the book.
    ///
    /// # Errors
    /// [`ReactorError`] when a task is lost.
    pub async fn run(
        self,
        kafka: &KafkaSettings,
        reactors: &[&'static Reactor],
        stop: &CancellationToken,
    ) -> Result<(), ReactorError> {
        let Self { book, bus, clock, settings } = self;
        let (feed, due) = (Feed::default(), std::sync::Arc::new(Notify::new()));
        let mut running = JoinSet::new();
        for &reactor in reactors {
            let (book, topology, feed, stop) = (book.clone(), kafka.topology.clone(), feed.clone(), stop.clone());
            let due = std::sync::Arc::clone(&due);
            running.spawn(async move {
                let effect = Reacting { reactor, due: &due };
                let (name, topics) = (reactor.consumer(), topics(reactor, &topology));
                let consumer = Consumer { name, topics, start: Start::Head, effect };
                consumer.run(&feed, &book, &topology, &stop).await;
            });
        }
        let topics: BTreeSet<String> = reactors.iter().flat_map(|reactor| topics(reactor, &kafka.topology)).collect();
        let group = ConsumerGroup { name: GROUP.to_owned(), topics: topics.into_iter().collect() };
        let (receiving_book, kafka, receiving_stop) = (book.clone(), kafka.clone(), stop.clone());
        running.spawn(async move { feed.run(&group, &receiving_book, &kafka, &receiving_stop).await });
        let worker = worker::Worker { book, bus, clock, settings, due };
        let stop = stop.clone();
        running.spawn(async move { worker.run(&stop).await });
        while let Some(ended) = running.join_next().await {
            ended?;
        }
        Ok(())
    }
}

fn topics(reactor: &Reactor, topology: &Topology) -> Vec<String> {
    reactor.slices.iter().map(|slice| topology.topic(slice.name())).collect()
}

/// Why reactors stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReactorError {
    /// A task has panicked.
    #[error("a reactor has stopped: {0}")]
    Lost(#[from] tokio::task::JoinError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Rows could not be written.
    #[error(transparent)]
    Effect(#[from] EffectError),
}
