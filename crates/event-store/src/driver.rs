//! A connection without a task of its own: the task that waits for an answer drives it. So a round trip to the database passes no
//! message between tasks. The appender uses it, since every caller waits for its round trips.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use postgres_openssl::TlsStream;
use tokio_postgres::{Client, Connection, Socket};

use crate::{Daybook, SessionLimits, StoreError};

/// Drives a connection.
pub(crate) struct Driver {
    /// The connection, until it ends. Then calls of its client fail as closed.
    connection: Option<Connection<Socket, TlsStream<Socket>>>,
}

impl Daybook {
    /// A client, and the driver of its connection. The client sends nothing unless the driver runs.
    pub(crate) async fn connect_driven(&self) -> Result<(Client, Driver), StoreError> {
        let (client, connection) = self.connector.connect_driven(SessionLimits::default()).await?;
        Ok((client, Driver { connection: Some(connection) }))
    }
}

impl Driver {
    /// Awaits a call of the client, and drives the connection meanwhile.
    pub(crate) async fn run<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            self.poll(context);
            // The connection may have delivered the answer just now.
            work.as_mut().poll(context)
        })
        .await
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        let Some(connection) = &mut self.connection else { return };
        if let Poll::Ready(ended) = Pin::new(connection).poll(context) {
            if let Err(error) = ended {
                tracing::warn!(%error, "the connection of the appender broke");
            }
            // This closes its channels, so every pending call of the client returns an error.
            self.connection = None;
        }
    }
}
