//! A batch that is decided while the book is locked. No other process writes meanwhile, so a command that was in conflict several times
//! cannot lose again. It costs a round trip more, and one for each look at what is stale.

use daybook_domain::{Source, StreamName};
use daybook_event_store::{Appender, Store, StoreError};

use super::{Committed, RECONNECT_AFTER, Runtime, Sequencer};
use crate::{
    CommandError,
    load::{Folded, Wanted, fold_all},
    vitals::refused,
};

/// How often the batch is decided under the lock. What was loaded under the lock stays valid, so few rounds suffice.
const ROUNDS: usize = 4;

impl<B: Store, R: Runtime> Sequencer<B, R> {
    /// Locks the book, decides the next batch again where it is stale, and commits it. No commit may be running.
    pub(super) async fn commit_locked(&mut self) {
        metrics::counter!("daybook_commits_locked_total").increment(1);
        let connected = match self.appender.take() {
            Some(appender) => Ok(appender),
            None => self.book.appender().await,
        };
        let mut appender = match connected {
            Ok(appender) => appender,
            Err(error) => {
                self.runtime.sleep(RECONNECT_AFTER).await;
                return self.fail_next(error);
            }
        };
        if let Err(error) = self.refresh(&mut appender).await {
            return self.fail_next(error);
        }
        if self.next.operations.is_empty() {
            // Its commands wait for loads.
            match appender.unlock().await {
                Ok(()) => self.appender = Some(appender),
                Err(error) => tracing::warn!(%error, "the connection of the appender broke"),
            }
            self.next.needs_lock = false;
            return;
        }
        let operations = self.begin_commit();
        let outcomes = appender.append(&operations).await;
        let appender = outcomes.as_ref().is_ok_and(|all| refused(all).is_none()).then_some(appender);
        self.settle(Some(Committed { appender, operations, outcomes }));
    }

    /// Locks the book, and decides the next batch again until nothing that it has read is stale.
    async fn refresh(&mut self, appender: &mut Appender<B::Session>) -> Result<(), StoreError> {
        appender.lock().await?;
        for _ in 0..ROUNDS {
            let stale = appender.stale(&self.next.operations).await?;
            if stale.is_empty() {
                break;
            }
            let reads = self.next.operations.iter().flat_map(|operation| operation.reads());
            let reads: Vec<StreamName> = reads.map(|(stream, _)| StreamName::from(&**stream)).collect();
            let undone = self.undo_next();
            for (stream, _) in stale {
                self.retire(&StreamName::from(&*stream));
            }
            let missing = reads.into_iter().filter(|stream| self.cache.find(stream).is_none());
            let mut wanted: Wanted = missing.map(|stream| (stream, None)).collect();
            for (stream, base) in &mut wanted {
                *base = self.bases.remove(stream);
            }
            let loaded = fold_all(&self.runtime, &self.book, wanted, self.settings.snapshot_after).await;
            match loaded {
                Ok(Folded { entries, .. }) => {
                    for (stream, entry) in entries {
                        self.cache.insert(stream, entry);
                    }
                    // A stream that cannot be read stays unloaded. The load that its command waits for then answers it.
                    self.decide_all(undone);
                }
                Err(error) => {
                    self.decide_all(undone);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Fails the commands of the next batch. Nothing of it was written.
    fn fail_next(&mut self, error: StoreError) {
        tracing::warn!(%error, "the book could not be locked");
        self.signs.failed();
        let failed = std::mem::take(&mut self.next).decided;
        self.start_over(failed, &CommandError::Failed(std::sync::Arc::new(error)));
    }
}
