//! Following: notice that the book has grown.
//!
//! Three ways, so that none has to be perfect: a wake-up inside the process, a NOTIFY on a connection of its own for other
//! processes (rate-limited, since NOTIFY takes a lock that all commits of the instance share), and a slow poll, since a
//! listener that reconnects has missed what was said meanwhile.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use tokio::sync::{Notify, watch};
use tokio_postgres::{AsyncMessage, Config, NoTls};

use crate::{Daybook, StoreError};

const CHANNEL: &str = "daybook_head";
/// At most one NOTIFY in this time.
const RING_EVERY: Duration = Duration::from_millis(5);
/// How long a missed wake-up can go unnoticed.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// How long to wait before a broken connection is made again.
const RECONNECT_AFTER: Duration = Duration::from_millis(200);

/// Rings for other processes after an append.
#[derive(Clone)]
pub(crate) struct Notifier {
    config: Arc<Config>,
    grown: Arc<Notify>,
    started: Arc<std::sync::Once>,
}

impl Notifier {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self { config, grown: Arc::default(), started: Arc::new(std::sync::Once::new()) }
    }

    /// Rings soon. The task that does it is started by the first ring and ends with its runtime.
    fn notify(&self) {
        self.started.call_once(|| {
            let (config, grown) = (Arc::clone(&self.config), Arc::clone(&self.grown));
            tokio::spawn(async move {
                loop {
                    if let Err(error) = ring_while_connected(&config, &grown).await {
                        tracing::warn!(%error, "the notifier lost its connection; followers elsewhere poll meanwhile");
                    }
                    tokio::time::sleep(RECONNECT_AFTER).await;
                }
            });
        });
        self.grown.notify_one();
    }
}

async fn ring_while_connected(config: &Config, grown: &Notify) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    let connection = tokio::spawn(connection);
    // A lost ring is made good by the poll, so it does not wait for the disk.
    client.batch_execute("SET synchronous_commit = off").await?;
    while !connection.is_finished() {
        grown.notified().await;
        client.batch_execute(&format!("NOTIFY {CHANNEL}")).await?;
        tokio::time::sleep(RING_EVERY).await;
    }
    Ok(())
}

/// Learns of appends. All followers of a process share one listener, however many there are: a connection each would let those
/// who only watch take the database away from those who write.
pub struct Follower {
    head: watch::Receiver<i64>,
    _listener: Arc<Listener>,
}

/// Listens as long as the process has followers.
pub(crate) struct Listener(tokio::task::JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Follower {
    /// Waits until the head of the book is past `position`, and returns the head.
    pub async fn past(&mut self, position: i64) -> i64 {
        let grown = self.head.wait_for(|head| *head > position).await.map(|head| *head);
        match grown {
            Ok(head) => head,
            // The sender lives in the book that the listener holds, so it is gone only when the runtime ends.
            Err(_) => std::future::pending().await,
        }
    }

    /// The head of the book, as far as it is known here.
    #[must_use]
    pub fn head(&self) -> i64 {
        *self.head.borrow()
    }
}

impl Daybook {
    /// Starts to follow the book.
    #[must_use]
    pub fn follow(&self) -> Follower {
        // A panic elsewhere leaves a listener that listens, or none: both are fine.
        let mut shared = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = shared.upgrade().unwrap_or_else(|| {
            let listener = Arc::new(self.start_listening());
            *shared = Arc::downgrade(&listener);
            listener
        });
        Follower { head: self.head.subscribe(), _listener: listener }
    }

    fn start_listening(&self) -> Listener {
        let book = self.clone();
        Listener(tokio::spawn(async move {
            loop {
                if let Err(error) = book.listen().await {
                    tracing::warn!(%error, "following the book was interrupted");
                }
                tokio::time::sleep(RECONNECT_AFTER).await;
            }
        }))
    }

    /// Notifies followers of this process, and soon those of others, that the book has grown up to `position`.
    pub(crate) fn announce(&self, position: i64) {
        self.saw(position);
        self.notifier.notify();
    }

    fn saw(&self, position: i64) {
        self.head.send_if_modified(|head| {
            let grown = position > *head;
            *head = position.max(*head);
            grown
        });
    }

    async fn listen(&self) -> Result<(), StoreError> {
        let (client, mut connection) = self.config.connect(NoTls).await?;
        let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
        let rung = Arc::new(Notify::new());
        let rings = Arc::clone(&rung);
        let reader = tokio::spawn(async move {
            while let Some(Ok(message)) = messages.next().await {
                if matches!(message, AsyncMessage::Notification(_)) {
                    rung.notify_one();
                }
            }
        });
        client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        while !reader.is_finished() {
            let row = client.query_one("SELECT position FROM head", &[]).await?;
            self.saw(row.try_get(0)?);
            tokio::select! {
                () = rings.notified() => {}
                () = tokio::time::sleep(POLL_EVERY) => {}
            }
        }
        Ok(())
    }
}
