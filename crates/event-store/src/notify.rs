//! The two tasks of a process behind its followers: one sends NOTIFY after appends, one listens to those of other processes.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, task::JoinHandle};

use crate::{Connector, SessionLimits};

/// The channel of the notifications.
pub(crate) const CHANNEL: &str = "daybook_head";
/// How long to wait before a broken connection is made again.
pub(crate) const RECONNECT_AFTER: Duration = Duration::from_millis(200);
/// The shortest time between two NOTIFYs.
const NOTIFY_EVERY: Duration = Duration::from_millis(5);

/// Notifies other processes after an append.
#[derive(Clone)]
pub(crate) struct Notifier {
    connector: Connector,
    grown: Arc<Notify>,
    started: Arc<std::sync::Once>,
}

impl Notifier {
    pub(crate) fn new(connector: Connector) -> Self {
        Self { connector, grown: Arc::default(), started: Arc::new(std::sync::Once::new()) }
    }

    /// Requests a NOTIFY, which follows soon. The first request starts the task that sends it; the task ends with its runtime.
    pub(crate) fn notify(&self) {
        self.started.call_once(|| {
            let (connector, grown) = (self.connector.clone(), Arc::clone(&self.grown));
            tokio::spawn(async move {
                loop {
                    if let Err(error) = notify_while_connected(&connector, &grown).await {
                        tracing::warn!(%error, "the notifier lost its connection; followers elsewhere poll meanwhile");
                    }
                    tokio::time::sleep(RECONNECT_AFTER).await;
                }
            });
        });
        self.grown.notify_one();
    }
}

async fn notify_while_connected(connector: &Connector, grown: &Notify) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = connector.connect_driven(SessionLimits::default()).await?;
    let connection = tokio::spawn(connection);
    // The poll makes up for a lost notification, so the NOTIFY need not wait for the disk.
    client.batch_execute("SET synchronous_commit = off").await?;
    while !connection.is_finished() {
        grown.notified().await;
        client.batch_execute(&format!("NOTIFY {CHANNEL}")).await?;
        tokio::time::sleep(NOTIFY_EVERY).await;
    }
    Ok(())
}

/// Listens as long as the process has followers.
pub(crate) struct Listener(JoinHandle<()>);

impl Listener {
    pub(crate) const fn new(task: JoinHandle<()>) -> Self {
        Self(task)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}
