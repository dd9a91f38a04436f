//! A pool of connections: its size, the limits of its sessions, and how long a caller waits for one of them.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::{
    ClientWrapper, Manager, ManagerConfig, Object, Pool, QueueMode, RecyclingMethod, Runtime, WeakPool,
};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config};

use super::{Connector, SessionLimits};
use crate::StoreError;

/// After how long a connection that is not used is closed.
const IDLE: Duration = Duration::from_secs(60);
/// How often a pool looks for connections that are not used.
const LOOK_FOR_IDLE: Duration = Duration::from_secs(10);

/// A pool, and the limits of its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// The most connections, at least 1.
    pub connections: usize,
    /// How long a caller waits for a free connection. For ever when absent.
    pub wait: Option<Duration>,
    /// The limits of statements.
    pub limits: SessionLimits,
    /// After how long a connection that is not used is closed.
    pub idle: Duration,
}

impl PoolSettings {
    /// A pool of so many connections, without other limits.
    #[must_use]
    pub fn of(connections: usize) -> Self {
        Self { connections, wait: None, limits: SessionLimits::default(), idle: IDLE }
    }
}

pub(crate) fn build(connector: &Connector, settings: &PoolSettings) -> Result<Pool, StoreError> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let pool_of_it = Arc::new(OnceLock::new());
    let connect = Connect {
        connector: connector.clone(),
        limits: settings.limits,
        idle: settings.idle,
        pool: Arc::clone(&pool_of_it),
        closes_idle: AtomicBool::new(false),
    };
    let pool = Pool::builder(Manager::from_connect(Config::new(), connect, recycling))
        .max_size(settings.connections.max(1))
        .runtime(Runtime::Tokio1)
        .wait_timeout(settings.wait)
        // The connection that was used last is used next. So those that are not needed become idle.
        .queue_mode(QueueMode::Lifo)
        .build()?;
    if pool_of_it.set(pool.weak()).is_err() {
        unreachable!("the cell was made above, and nothing else sets it");
    }
    Ok(pool)
}

/// Makes the connections of a pool.
struct Connect {
    connector: Connector,
    limits: SessionLimits,
    idle: Duration,
    pool: Arc<OnceLock<WeakPool>>,
    /// Whether the task runs that closes idle connections.
    closes_idle: AtomicBool,
}

impl deadpool_postgres::Connect for Connect {
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + '_>> {
        Box::pin(async move {
            let (client, connection) = self.connector.connect_driven(self.limits).await?;
            let driver = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::warn!(%error, "a database connection broke");
                }
            });
            self.close_idle_ones();
            Ok((client, driver))
        })
    }
}

impl Connect {
    /// Starts the task that closes idle connections, with the first connection. The task ends with the pool.
    fn close_idle_ones(&self) {
        if self.closes_idle.swap(true, Ordering::Relaxed) {
            return;
        }
        let (pool, idle) = (Arc::clone(&self.pool), self.idle);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_FOR_IDLE.min(idle)).await;
                let Some(pool) = pool.get().and_then(WeakPool::upgrade) else { return };
                pool.retain(|_, metrics| metrics.last_used() < idle);
            }
        });
    }
}

/// Cancels what a client does when it is dropped before [`Self::done`], and closes its connection. Without this, PostgreSQL would
/// work on for a caller that is gone, and the next user of the connection would wait for it.
pub struct CancelOnDrop {
    connector: Connector,
    client: Option<Object>,
}

impl CancelOnDrop {
    pub(crate) const fn new(connector: Connector, client: Object) -> Self {
        Self { connector, client: Some(client) }
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &ClientWrapper {
        self.client.as_ref().expect("the client is taken only by `done` and `drop`, which end this value")
    }

    /// The client has answered, so nothing is left to cancel.
    pub fn done(mut self) {
        drop(self.client.take());
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let (Some(client), Ok(runtime)) = (self.client.take(), tokio::runtime::Handle::try_current()) else { return };
        // A cancellation that comes late must not meet the statement of another caller, so the connection leaves the pool.
        let client = Object::take(client);
        let (connector, token) = (self.connector.clone(), client.cancel_token());
        runtime.spawn(async move {
            if let Err(error) = connector.cancel(token).await {
                tracing::debug!(%error, "a statement could not be cancelled");
            }
            drop(client);
        });
    }
}
