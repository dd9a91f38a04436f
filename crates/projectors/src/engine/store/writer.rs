//! What writes the tables that are being built: one task with a connection of its own, which does one thing after the other.
//!
//! Commits do not wait for the disk: what is built can be built again. The swap is durable, and makes durable what was written
//! before it.

use bytes::Bytes;
use futures::SinkExt;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{Client, types::Json};
use tokio_util::task::AbortOnDropHandle;

use crate::ViewError;

/// How much may wait to be written: so many times a chunk of rows.
const WAITING: usize = 8;

/// Something to write.
pub(crate) enum Write {
    /// Rows in the binary format of COPY.
    Copy {
        /// The table and its columns.
        into: String,
        /// The rows.
        tuples: Bytes,
    },
    /// Statements.
    Run(String),
    /// A deletion whose parameter are keys.
    Delete {
        /// The statement.
        sql: String,
        /// A JSON array.
        keys: Value,
    },
    /// The sender waits until the writer has come this far.
    Reached(oneshot::Sender<()>),
}

/// Where to send what is to be written. When the writer has failed, it is dropped, and [`Writer::stop`] returns the error.
pub(crate) struct WriterHandle(mpsc::Sender<Write>);

impl WriterHandle {
    pub(crate) async fn send(&self, what: Write) {
        if self.0.send(what).await.is_err() {
            tracing::debug!("the writer has failed");
        }
    }

    /// Waits until all that was sent is written, or the writer has failed.
    pub(crate) async fn reached(&self) {
        let (here, there) = oneshot::channel();
        self.send(Write::Reached(here)).await;
        if there.await.is_err() {
            tracing::debug!("the writer has failed");
        }
    }
}

/// The writer.
pub(crate) struct Writer {
    handle: WriterHandle,
    task: AbortOnDropHandle<Result<(), ViewError>>,
}

impl Writer {
    /// Starts it. It ends when it is dropped, when it fails, or when it is stopped.
    pub(crate) fn start(client: Client) -> Self {
        let (send, mut wanted) = mpsc::channel(WAITING);
        let task = tokio::spawn(async move {
            client.batch_execute("SET synchronous_commit = off; SET client_min_messages = warning").await?;
            while let Some(what) = wanted.recv().await {
                write(&client, what).await?;
            }
            Ok(())
        });
        Self { handle: WriterHandle(send), task: AbortOnDropHandle::new(task) }
    }

    /// Another handle.
    pub(crate) fn handle(&self) -> WriterHandle {
        WriterHandle(self.handle.0.clone())
    }

    /// Waits until everything is written and all handles are gone.
    pub(crate) async fn stop(self) -> Result<(), ViewError> {
        drop(self.handle);
        self.task.await?
    }
}

async fn write(client: &Client, what: Write) -> Result<(), ViewError> {
    match what {
        Write::Copy { into, tuples } => {
            let sink = client.copy_in::<_, Bytes>(&format!("COPY {into} FROM STDIN (FORMAT binary)")).await?;
            futures::pin_mut!(sink);
            sink.send(tuples).await?;
            sink.finish().await?;
        }
        Write::Run(sql) => client.batch_execute(&sql).await?,
        Write::Delete { sql, keys } => {
            client.execute(&sql, &[&Json(keys)]).await?;
        }
        // The sender may have given up.
        Write::Reached(reached) => drop(reached.send(())),
    }
    Ok(())
}
