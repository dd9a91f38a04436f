//! Running the views: each version of a view is a consumer of the process's feed.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use daybook_event_store::{Daybook, StoreError};
use daybook_event_stream::{Backoff, Consumer, Feed, KafkaSettings, Start, Topology, consumer::feed::ConsumerGroup};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    projection::Projection,
    rebuild,
    registry::{self, Shown},
    view::ViewSpec,
};
use crate::ViewError;

/// The consumer group of the processes that run views, after the prefix of the topics.
const GROUP: &str = "projectors";

/// The connections that a build of a view uses beside those of the running views. A pool allows one build for so many of its own.
const CONNECTIONS_OF_A_BUILD: usize = 6;

/// How long to wait before the next look which version is shown.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Runs views until it is stopped. A view that does not exist is built first, beside the others.
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
    run_on(Feed::default(), book, kafka, views, stop).await
}

/// The same on a feed of the caller, which shows whether the process has joined its group.
///
/// # Errors
/// [`ViewError`] when the task of a view is lost.
pub async fn run_on(
    feed: Feed,
    book: &Daybook,
    kafka: &KafkaSettings,
    views: &[&'static ViewSpec],
    stop: &CancellationToken,
) -> Result<(), ViewError> {
    let mut running = JoinSet::new();
    let builds = Arc::new(Semaphore::new((book.pool().status().max_size / CONNECTIONS_OF_A_BUILD).max(1)));
    for &view in views {
        let (book, topology, feed, builds) = (book.clone(), kafka.topology.clone(), feed.clone(), Arc::clone(&builds));
        let runner = Runner { book, topology, feed, builds, view };
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
    /// Builds of views that may run at the same time.
    builds: Arc<Semaphore>,
    view: &'static ViewSpec,
}

impl Runner {
    /// Runs the version that is shown, and the next one when it is retired. First a view is built that is missing, or that is ahead of the
    /// book.
    async fn run(&self, stop: &CancellationToken) {
        let (mut left_alone, mut backoff) = (None, Backoff::new());
        let mut is_sound = false;
        while !stop.is_cancelled() {
            let done = async {
                if !is_sound {
                    stop.run_until_cancelled(self.build_if_missing()).await.unwrap_or(Ok(()))?;
                    is_sound = true;
                }
                self.run_shown(stop, &mut left_alone).await
            };
            let done = done.await;
            let pause = async {
                match done {
                    Ok(()) => {
                        backoff.reset();
                        tokio::time::sleep(LOOK_AGAIN).await;
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

    /// Builds a view that is missing, or that is ahead of the book. A process builds few at a time, which bounds its memory and its
    /// connections. The views that are sound run meanwhile.
    async fn build_if_missing(&self) -> Result<(), ViewError> {
        if rebuild::missing(&self.book, self.view).await?.is_none() {
            return Ok(());
        }
        // The semaphore is never closed, so this is a permit.
        let _permit = self.builds.acquire().await;
        rebuild::build_if_missing(&self.book, &self.topology, self.view).await
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
            // Readers have the older version until then, and programs of its revision keep it up to date.
            older => {
                let built = async {
                    // The semaphore is never closed, so this is a permit.
                    let _permit = self.builds.acquire().await;
                    rebuild::build_after(book, topology, view, older.map(|shown| shown.version)).await
                };
                stop.run_until_cancelled(built).await.unwrap_or(Ok(()))
            }
        }
    }

    /// Runs a version until it is retired.
    async fn run_version(&self, stop: &CancellationToken, version: i32) {
        let Self { book, topology, feed, view, .. } = self;
        let effect = Projection::new(view, version);
        let (name, topics) = (view.versioned(version), view.topics(topology));
        let consumer = Consumer { name, topics, start: Start::Beginning, effect };
        consumer.run(feed, book, topology, stop).await;
        if let Err(error) = drop_checkpoints(book, view, version).await {
            tracing::warn!(view = view.name, version, %error, "the checkpoints of a retired version are still kept");
        }
    }
}

/// Drops the checkpoints of a retired version. The swap has done so, but a consumer that was given partitions at that moment has got
/// checkpoints once more.
async fn drop_checkpoints(book: &Daybook, view: &ViewSpec, version: i32) -> Result<(), StoreError> {
    let client = book.pool().get().await?;
    let sql = "DELETE FROM consumer_checkpoints
               WHERE consumer = $1 AND EXISTS (SELECT 1 FROM views WHERE name = $2 AND version > $3)";
    client.execute(sql, &[&view.versioned(version), &view.name, &version]).await?;
    Ok(())
}
