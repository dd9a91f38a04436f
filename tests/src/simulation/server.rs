//! A database: tables in memory, and the network to it, which fails by a seed.
//!
//! Whoever asks sends a request to a process of its own. So what was asked for may happen after the one who asked has given up, was
//! cut off or is dead.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use daybook_bus::Runtime;
use daybook_event_store::StoreError;
use tokio::sync::oneshot;

use super::{network::Network, scheduler::Place};

/// A database of `T`, as one process sees it.
pub struct Server<T> {
    tables: Arc<Mutex<T>>,
    network: Arc<Network>,
    /// Where whoever asks is.
    place: Place,
}

impl<T> Clone for Server<T> {
    fn clone(&self) -> Self {
        Self { tables: Arc::clone(&self.tables), network: Arc::clone(&self.network), place: self.place.clone() }
    }
}

impl<T: Default + Send + 'static> Server<T> {
    /// An empty one, seen from `place`.
    #[must_use]
    pub fn new(network: Arc<Network>, place: Place) -> Self {
        Self { tables: Arc::default(), network, place }
    }

    /// The same one, seen from another process.
    #[must_use]
    pub fn from(&self, place: Place) -> Self {
        Self { place, ..self.clone() }
    }

    /// The network to it.
    #[must_use]
    pub const fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// Where whoever asks is.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// What is in it.
    pub fn tables(&self) -> MutexGuard<'_, T> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it do something in one transaction, as far as the network allows.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: whether it was done, or will be, is unknown.
    pub async fn ask<A: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut T, DateTime<Utc>) -> A + Send + 'static,
    ) -> Result<A, StoreError> {
        let Some(way) = self.network.way() else {
            self.place.tell(|| format!("{what}: no connection"));
            return Err(StoreError::Unavailable("no connection".to_owned()));
        };
        let (answer, answered) = oneshot::channel();
        let (server, place) = (self.clone(), self.place.elsewhere(self.network.group()));
        drop(place.clone().spawn(async move {
            place.sleep(way.there).await;
            if !way.arrives {
                return place.tell(|| format!("{what}: got lost on the way"));
            }
            let done = work(&mut server.tables(), place.now());
            place.tell(|| format!("{what} is done for {:?}", server.place));
            place.sleep(way.back).await;
            if way.answers {
                // Whoever asked may be dead.
                answer.send(done).ok();
            } else {
                place.tell(|| format!("{what}: the answer got lost"));
            }
        }));
        let broken = || StoreError::Unavailable("the connection broke".to_owned());
        match way.cut {
            None => answered.await.map_err(|_| broken()),
            Some(time) => match self.place.within(time, answered).await {
                Some(answer) => answer.map_err(|_| broken()),
                None => {
                    self.place.tell(|| format!("{what}: cut off"));
                    Err(broken())
                }
            },
        }
    }
}
