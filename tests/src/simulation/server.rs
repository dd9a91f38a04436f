//! A database: tables in memory, and the network to it, whose faults a seed decides.
//!
//! The database is a process of its own. So a request may be executed after its client has timed out, was cut off or was killed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use daybook_bus::Runtime;
use daybook_event_store::StoreError;
use tokio::sync::oneshot;

use super::{network::Network, scheduler::Process};

/// A database of `T`, as one process sees it.
pub struct Server<T> {
    tables: Arc<Mutex<T>>,
    network: Arc<Network>,
    /// The client.
    process: Process,
}

impl<T> Clone for Server<T> {
    fn clone(&self) -> Self {
        Self { tables: Arc::clone(&self.tables), network: Arc::clone(&self.network), process: self.process.clone() }
    }
}

impl<T: Default + Send + 'static> Server<T> {
    /// An empty database, as `process` sees it.
    #[must_use]
    pub fn new(network: Arc<Network>, process: Process) -> Self {
        Self { tables: Arc::default(), network, process }
    }

    /// The same database, as another process sees it.
    #[must_use]
    pub fn from(&self, process: Process) -> Self {
        Self { process, ..self.clone() }
    }

    /// The network to the database.
    #[must_use]
    pub const fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// The client.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// The tables.
    pub fn tables(&self) -> MutexGuard<'_, T> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request over the network. The database executes it in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: the client does not know whether the request was or will be executed.
    pub async fn ask<A: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut T, DateTime<Utc>) -> A + Send + 'static,
    ) -> Result<A, StoreError> {
        let Some(delivery) = self.network.draw_delivery() else {
            self.process.log(|| format!("{what}: no connection"));
            return Err(StoreError::Unavailable("no connection".to_owned()));
        };
        let (sender, response) = oneshot::channel();
        let (server, database) = (self.clone(), self.process.other(self.network.database()));
        drop(database.clone().spawn(async move {
            database.sleep(delivery.request_delay).await;
            if !delivery.request_arrives {
                return database.log(|| format!("{what}: the request was lost"));
            }
            let result = work(&mut server.tables(), database.now());
            database.log(|| format!("{what}: executed for {:?}", server.process));
            database.sleep(delivery.response_delay).await;
            if delivery.response_arrives {
                // The client may have been killed.
                sender.send(result).ok();
            } else {
                database.log(|| format!("{what}: the response was lost"));
            }
        }));
        let broken = || StoreError::Unavailable("the connection broke".to_owned());
        match delivery.cut_after {
            None => response.await.map_err(|_| broken()),
            Some(time) => match self.process.within(time, response).await {
                Some(response) => response.map_err(|_| broken()),
                None => {
                    self.process.log(|| format!("{what}: the connection was cut"));
                    Err(broken())
                }
            },
        }
    }
}
