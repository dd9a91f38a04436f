//! A connection that runs only while its owner waits for an answer. It has no task of its own, so nothing is handed from task
//! to task on the way to the database and back. For the appender, whose round trips are what every caller waits for.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use tokio_postgres::{Client, Connection, NoTls, Socket, tls::NoTlsStream};

use crate::{Daybook, StoreError};

/// Drives a connection.
pub(crate) struct Driver {
    /// Gone once it has ended; its client then says that it is closed.
    connection: Option<Connection<Socket, NoTlsStream>>,
}

impl Daybook {
    /// A client, and the driver without which nothing that it sends arrives.
    pub(crate) async fn connect_driven(&self) -> Result<(Client, Driver), StoreError> {
        let (client, connection) = self.config.connect(NoTls).await?;
        Ok((client, Driver { connection: Some(connection) }))
    }
}

impl Driver {
    /// Waits for something that the client does, and drives the connection meanwhile.
    pub(crate) async fn run<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            self.poll(context);
            // What has just arrived, if anything did, is for the work.
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
            // Dropping it closes its channels, so that each caller that waits on the client gets an error.
            self.connection = None;
        }
    }
}
