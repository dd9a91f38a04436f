//! Following: a process learns that the book has grown.
//!
//! Three ways complement each other. Inside the process an append wakes the followers. Other processes get a NOTIFY, on a connection
//! of its own; it is rate-limited, since NOTIFY takes a lock that all commits of the server share. A slow poll finds what a listener
//! has missed while it reconnected. A hot standby refuses LISTEN, so it is polled often.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use tokio::sync::{Notify, watch};
use tokio_postgres::AsyncMessage;

use crate::{
    Daybook, SessionLimits, StoreError,
    notify::{CHANNEL, Listener, RECONNECT_AFTER},
};

/// The time between two polls. A missed notification is noticed within this time.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// The time between two polls of a hot standby, which has no notifications.
const POLL_STANDBY_EVERY: Duration = Duration::from_millis(20);

/// Waits for appends. All followers of a process share one listener. A connection for each follower would take connections from the
/// writers.
pub struct Follower {
    head: watch::Receiver<i64>,
    _listener: Arc<Listener>,
}

impl Follower {
    /// Waits until the head of the book is after `position`, and returns the head.
    pub async fn past(&mut self, position: i64) -> i64 {
        let grown = self.head.wait_for(|head| *head > position).await.map(|head| *head);
        match grown {
            Ok(head) => head,
            // The listener keeps the book, which owns the sender. So the sender is dropped only when the runtime ends.
            Err(_) => std::future::pending().await,
        }
    }

    /// The head of the book, as this process knows it.
    #[must_use]
    pub fn head(&self) -> i64 {
        *self.head.borrow()
    }
}

impl Daybook {
    /// Starts to follow the book.
    #[must_use]
    pub fn follow(&self) -> Follower {
        // A panic while the lock was held leaves a working listener or none. Both are valid.
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
        Listener::new(tokio::spawn(async move {
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
        let (client, mut connection) = self.connector.connect_driven(SessionLimits::default()).await?;
        let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
        let notified = Arc::new(Notify::new());
        let notifications = Arc::clone(&notified);
        let reader = tokio::spawn(async move {
            while let Some(Ok(message)) = messages.next().await {
                if matches!(message, AsyncMessage::Notification(_)) {
                    notified.notify_one();
                }
            }
        });
        // A standby refuses LISTEN. It may be promoted later, which ends the connection or is noticed at the next one.
        let is_standby: bool = client.query_one("SELECT pg_is_in_recovery()", &[]).await?.try_get(0)?;
        let poll_every = if is_standby { POLL_STANDBY_EVERY } else { POLL_EVERY };
        if !is_standby {
            client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        }
        let head = client.prepare("SELECT position FROM head").await?;
        while !reader.is_finished() {
            let row = client.query_one(&head, &[]).await?;
            self.saw(row.try_get(0)?);
            tokio::select! {
                () = notifications.notified() => {}
                () = tokio::time::sleep(poll_every) => {}
            }
        }
        Ok(())
    }
}
