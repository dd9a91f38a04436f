//! Running the views: each version of a view is a consumer of the process's feed.

use std::{collections::BTreeSet, time::Duration};

use daybook_event_store::{Daybook, StoreError};
use daybook_event_stream::{
    Backoff, Consumer, Effect, EffectError, Feed, KafkaSettings, SharedEvent, Start, Topology,
    consumer::feed::ConsumerGroup,
};
use deadpool_postgres::Transaction;
use tokio::task::JoinSet;
use tokio_postgres::types::ToSql;
use tokio_util::sync::CancellationToken;

use crate::{
    ViewError, rebuild,
    registry::{self, Shown},
    store::Store,
    view::{Recorded, ViewSpec},
};

/// Projections share this lock of the view's name; the swap of a rebuild has it alone. Whoever waits for it is served in turn,
/// so that a swap gets its turn under any load.
const LOCK: i32 = 0x7669_6577;

/// The consumer group of the processes that run views, after the prefix of the topics.
const GROUP: &str = "projectors";

/// How long it takes until it is looked again which version is shown.
const AGAIN: Duration = Duration::from_millis(200);

/// Waits until nobody takes events into a view, and keeps it so for as long as the transaction lasts.
pub(crate) async fn hold_still(
    transaction: &tokio_postgres::Transaction<'_>,
    view: &ViewSpec,
) -> Result<(), tokio_postgres::Error> {
    transaction.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", &[&LOCK, &view.name]).await?;
    Ok(())
}

/// A version of a view, as what a consumer does with events.
pub struct Projection {
    pub(crate) view: &'static ViewSpec,
    pub(crate) version: i32,
    pub(crate) schema: String,
}

impl Projection {
    /// A version of a view.
    #[must_use]
    pub fn new(view: &'static ViewSpec, version: i32) -> Self {
        Self { view, version, schema: view.versioned(version) }
    }

    /// Takes events in, without asking whether this version is the one that is shown.
    pub(crate) async fn project(
        &self,
        transaction: &Transaction<'_>,
        events: &[SharedEvent],
    ) -> Result<(), EffectError> {
        let events = events.iter().map(Recorded::of).collect::<Result<Vec<_>, _>>()?;
        (self.view.project)(&Store::new(transaction, &self.schema), &events).await
    }
}

impl Effect for Projection {
    async fn apply(&self, transaction: &Transaction<'_>, events: &[SharedEvent]) -> Result<(), EffectError> {
        let lock = transaction.prepare_cached("SELECT pg_advisory_xact_lock_shared($1, hashtext($2))").await?;
        let shown = transaction
            .prepare_cached("SELECT 1 FROM views WHERE name = $1 AND version = $2 AND revision = $3")
            .await?;
        // One round trip; still the second statement sees what was committed before the first one had its lock.
        let (lock_parameters, parameters): ([&(dyn ToSql + Sync); 2], [&(dyn ToSql + Sync); 3]) =
            ([&LOCK, &self.view.name], [&self.view.name, &self.version, &self.view.revision]);
        let (_, shown) = futures::try_join!(
            transaction.query_one(&lock, &lock_parameters),
            transaction.query_opt(&shown, &parameters)
        )?;
        if shown.is_none() {
            return Err(EffectError::Retired);
        }
        self.project(transaction, events).await
    }
}

/// Runs views until it is stopped. A view that does not exist is built first.
///
/// The process is one member of one consumer group for all of them, and each event that it receives is decoded once.
///
/// # Errors
/// [`ViewError`] when the task of a view is lost.
pub async fn run(
    book: &Daybook,
    kafka: &KafkaSettings,
    views: &[&'static ViewSpec],
    stop: &CancellationToken,
) -> Result<(), ViewError> {
    let feed = Feed::default();
    let mut running = JoinSet::new();
    for &view in views {
        let runner = Runner { book: book.clone(), topology: kafka.topology.clone(), feed: feed.clone(), view };
        let stop = stop.clone();
        running.spawn(async move { runner.run(&stop).await });
    }
    let topics: BTreeSet<String> = views.iter().flat_map(|view| view.topics(&kafka.topology)).collect();
    let group = ConsumerGroup { name: GROUP.to_owned(), topics: topics.into_iter().collect() };
    let (book, kafka, stop) = (book.clone(), kafka.clone(), stop.clone());
    running.spawn(async move { feed.run(&group, &book, &kafka, &stop).await });
    while let Some(ended) = running.join_next().await {
        ended?;
    }
    Ok(())
}

/// What runs one view.
struct Runner {
    book: Daybook,
    topology: Topology,
    feed: Feed,
    view: &'static ViewSpec,
}

impl Runner {
    /// Runs the version that is shown, and the next one when it is retired.
    async fn run(&self, stop: &CancellationToken) {
        let (mut left_alone, mut backoff) = (None, Backoff::new());
        while !stop.is_cancelled() {
            let done = self.run_shown(stop, &mut left_alone).await;
            let pause = async {
                match done {
                    Ok(()) => {
                        backoff.reset();
                        tokio::time::sleep(AGAIN).await;
                    }
                    Err(error) => {
                        tracing::warn!(view = self.view.name, %error, "the view does not run; it is tried again");
                        backoff.wait().await;
                    }
                }
            };
            stop.run_until_cancelled(pause).await;
        }
    }

    /// Runs the version that is shown until it is retired, or builds the one that should be. A build that is stopped is left
    /// where it is, which costs nothing: the next build begins from the start in any case.
    async fn run_shown(&self, stop: &CancellationToken, left_alone: &mut Option<i32>) -> Result<(), ViewError> {
        let Self { book, topology, view, .. } = self;
        match registry::shown(book, view).await? {
            Some(Shown { version, revision }) if revision == view.revision => {
                self.run_version(stop, version).await;
                Ok(())
            }
            Some(Shown { version, revision }) if revision > view.revision => {
                // Its rows may mean something else.
                if left_alone.replace(version) != Some(version) {
                    tracing::warn!(
                        view = view.name,
                        version,
                        revision,
                        "a newer program has built the view; it is left alone"
                    );
                }
                Ok(())
            }
            // Those who read an older one have it until then, and programs of its revision go on with it.
            older => {
                let built = rebuild::build_after(book, topology, view, older.map(|shown| shown.version));
                stop.run_until_cancelled(built).await.unwrap_or(Ok(()))
            }
        }
    }

    /// Runs a version until it is retired.
    async fn run_version(&self, stop: &CancellationToken, version: i32) {
        let Self { book, topology, feed, view } = self;
        let effect = Projection::new(view, version);
        let (name, topics) = (view.versioned(version), view.topics(topology));
        let consumer = Consumer { name, topics, start: Start::Beginning, effect };
        consumer.run(feed, book, topology, stop).await;
        if let Err(error) = give_up_place(book, view, version).await {
            tracing::warn!(view = view.name, version, %error, "the place of a retired version is still kept");
        }
    }
}

/// Forgets how far a retired version was. The swap has done so; but a consumer that was given partitions at that very moment has
/// begun there once more.
async fn give_up_place(book: &Daybook, view: &ViewSpec, version: i32) -> Result<(), StoreError> {
    let client = book.pool().get().await?;
    let sql = "DELETE FROM consumer_checkpoints
               WHERE consumer = $1 AND EXISTS (SELECT 1 FROM views WHERE name = $2 AND version > $3)";
    client.execute(sql, &[&view.versioned(version), &view.name, &version]).await?;
    Ok(())
}
