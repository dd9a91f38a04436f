//! The part of a process in the seat: whether it decides commands, and where else they are decided.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use daybook_bus::Clock;
use daybook_command_api::forward::{Forwarder, Receiver};
use daybook_event_store::{self as event_store, Candidate, Daybook, Holder};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long the seat may take to be given up. A database that is slower ends the lock with the connection.
const GIVING_UP: Duration = Duration::from_secs(2);

/// Where a process takes commands.
pub(crate) struct Address {
    /// The address that its server listens on.
    pub(crate) listens: SocketAddr,
    /// The address for other processes, if it is another one.
    pub(crate) advertised: Option<String>,
}

/// The part of this process.
pub(crate) struct Seat {
    seat: event_store::Seat,
    forwarder: Arc<Forwarder>,
    secret: Arc<str>,
}

impl Seat {
    /// Takes part. A process that takes commands, at this address, may hold the seat. Another one only forwards its own.
    pub(crate) async fn take_part(book: Daybook, takes_commands: Option<Address>, clock: &Clock) -> Self {
        let secret: Arc<str> = secret().into();
        let candidate = takes_commands.map(|Address { listens, advertised }| Candidate {
            listens,
            advertised,
            secret: Arc::clone(&secret),
            may_decide: clock.is_right(),
        });
        let seat = event_store::Seat::start(book, candidate).await;
        let forwarder = Forwarder::new(seat.holder());
        Self { seat, forwarder, secret }
    }

    /// Who holds the seat, as it changes.
    pub(crate) fn holder(&self) -> watch::Receiver<Holder> {
        self.seat.holder()
    }

    /// The way of commands to the process that decides.
    pub(crate) fn forwarder(&self) -> Arc<Forwarder> {
        Arc::clone(&self.forwarder)
    }

    /// What takes commands of other processes.
    pub(crate) fn receiver(&self, stop: CancellationToken) -> Receiver {
        Receiver::new(Arc::clone(&self.secret), stop)
    }

    /// Gives the seat up for good. Returns when another process can take it.
    pub(crate) async fn give_up(&self) {
        if tokio::time::timeout(GIVING_UP, self.seat.give_up()).await.is_err() {
            tracing::warn!("the seat could not be given up in {GIVING_UP:?}");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a secret is random, and this is where it is made")]
fn secret() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}
