//! The seat: which of several processes decides commands. It is for speed only. The checks of every commit keep the book right, so two
//! processes that both decide for a while cost rate and nothing else.
//!
//! The holder has an advisory lock on a connection of its own, and renews its row every second. The seat is free when that connection
//! ends. A process that is suspended keeps its connection, so the others have the database end it when the row was not renewed for
//! seconds.

mod row;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::sleep,
};
use tokio_postgres::Client;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::{Daybook, StoreError};

/// How often a process that does not hold the seat tries to take it.
const TRY_EVERY: Duration = Duration::from_millis(200);
/// How often the holder renews its row.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// After how long without a renewal the others end the connection of a holder.
const SUSPENDED_AFTER: Duration = Duration::from_secs(5);

/// Who holds the seat, as one process knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Nobody, or this process does not know it yet.
    Nobody {
        /// Since when.
        since: Instant,
    },
    /// This process.
    This,
    /// Another process.
    Other(Place),
}

/// Where the holder takes commands of other processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its address, as `host:port`.
    pub address: String,
    /// What other processes show there. Only those who may read the table know it.
    pub secret: Arc<str>,
    /// How often the seat was taken.
    pub epoch: i64,
}

/// A process that may hold the seat.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The address that its server listens on. An unspecified one, such as 0.0.0.0, is replaced by the address that the database sees
    /// this process at.
    pub listens: SocketAddr,
    /// The address for other processes, as `host:port`, if it is another one.
    pub advertised: Option<String>,
    /// What other processes have to show. It must be hard to guess.
    pub secret: Arc<str>,
    /// Whether it may decide at present. A process whose clock is wrong gives the seat up until it is right again.
    pub may_decide: watch::Receiver<bool>,
}

/// A part in the seat. It ends when this is dropped.
pub struct Seat {
    holder: watch::Receiver<Holder>,
    give_up: mpsc::Sender<oneshot::Sender<()>>,
    _task: AbortOnDropHandle<()>,
}

impl Seat {
    /// Follows who holds the seat, and takes it when it is free, if this process is a candidate. Returns after the first look at the seat,
    /// or when the database does not answer.
    pub async fn start(book: Daybook, candidate: Option<Candidate>) -> Self {
        let (holder, known) = watch::channel(Holder::Nobody { since: Instant::now() });
        let (give_up, requests) = mpsc::channel(1);
        let (looked, first_look) = oneshot::channel();
        let member =
            Member { book, candidate, id: new_id(), holder, requests, looked: Some(looked), has_warned: false };
        let task = AbortOnDropHandle::new(tokio::spawn(member.run()));
        // The sender is dropped after the first look.
        first_look.await.ok();
        Self { holder: known, give_up, _task: task }
    }

    /// Who holds the seat, as it changes.
    #[must_use]
    pub fn holder(&self) -> watch::Receiver<Holder> {
        self.holder.clone()
    }

    /// Gives the seat up for good. Returns when another process can take it.
    pub async fn give_up(&self) {
        let (done, given_up) = oneshot::channel();
        if self.give_up.send(done).await.is_ok() {
            // An error means that the task has ended, and its connection with it.
            given_up.await.ok();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the id of a process is random, and this is where it is made")]
fn new_id() -> Uuid {
    Uuid::new_v4()
}

/// The task of a process that takes part.
struct Member {
    book: Daybook,
    candidate: Option<Candidate>,
    id: Uuid,
    holder: watch::Sender<Holder>,
    /// Requests to give the seat up.
    requests: mpsc::Receiver<oneshot::Sender<()>>,
    /// Dropped after the first look at the seat.
    looked: Option<oneshot::Sender<()>>,
    /// Whether the present failure was logged.
    has_warned: bool,
}

impl Member {
    async fn run(mut self) {
        loop {
            let error = match self.book.connect().await {
                Ok(client) => self.take_part(&client).await,
                Err(error) => error,
            };
            if !std::mem::replace(&mut self.has_warned, true) {
                tracing::warn!(%error, "the seat cannot be reached");
            }
            // The lock has ended with the connection. Another holder may be within reach all the same.
            if *self.holder.borrow() == Holder::This {
                self.publish(None);
            }
            self.looked = None;
            self.pause(TRY_EVERY).await;
        }
    }

    /// Takes part until the connection fails.
    async fn take_part(&mut self, client: &Client) -> StoreError {
        loop {
            if let Err(error) = self.look(client).await {
                return error;
            }
            (self.looked, self.has_warned) = (None, false);
            self.pause(TRY_EVERY).await;
        }
    }

    /// Takes the seat if it is free, and holds it until it is given up. Otherwise looks who holds it.
    async fn look(&mut self, client: &Client) -> Result<(), StoreError> {
        if let Some(candidate) = self.candidate.clone().filter(|candidate| *candidate.may_decide.borrow())
            && row::lock(client).await?
        {
            return self.hold(client, &candidate).await;
        }
        let Some(seated) = row::read(client).await?.filter(|seated| seated.holder != self.id) else {
            self.publish(None);
            return Ok(());
        };
        if self.candidate.is_some() && seated.silence > SUSPENDED_AFTER {
            tracing::warn!(address = seated.place.address, "the holder of the seat does not renew it, and loses it");
            row::end_holder(client).await?;
        }
        self.publish(Some(Holder::Other(seated.place)));
        Ok(())
    }

    /// Holds the seat, whose lock was just taken.
    async fn hold(&mut self, client: &Client, candidate: &Candidate) -> Result<(), StoreError> {
        let taken = row::take(client, self.id, candidate).await;
        let (epoch, address) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                // Without its row, nobody finds the holder. The book may be read-only for a while.
                row::unlock(client).await?;
                return Err(error);
            }
        };
        tracing::info!(epoch, address, "this process has the seat and decides commands");
        self.publish(Some(Holder::This));
        (self.looked, self.has_warned) = (None, false);
        let mut may_decide = candidate.may_decide.clone();
        loop {
            tokio::select! {
                true = async { may_decide.wait_for(|may| !may).await.is_ok() } => {
                    tracing::warn!("this process gives the seat up, since it may not decide");
                    self.publish(None);
                    return row::leave(client, self.id).await;
                }
                () = sleep(RENEW_EVERY) => match row::renew(client, self.id).await {
                    // The book may be read-only for a while. The lock is held as long as the connection.
                    Err(error) if client.is_closed() || !error.is_answer() => return Err(error),
                    Ok(()) | Err(_) => {}
                },
                Some(done) = self.requests.recv() => {
                    self.candidate = None;
                    // Commands that arrive now wait for the next holder.
                    self.publish(None);
                    let left = row::leave(client, self.id).await;
                    done.send(()).ok();
                    return left;
                }
            }
        }
    }

    /// Makes a holder known to this process. None: nobody holds the seat.
    fn publish(&self, now: Option<Holder>) {
        metrics::gauge!("daybook_seat_held").set(if now == Some(Holder::This) { 1.0 } else { 0.0 });
        self.holder.send_if_modified(|holder| {
            let is_new = match (&now, &*holder) {
                (None, Holder::Nobody { .. }) => false,
                (None, _) => true,
                (Some(now), known) => now != known,
            };
            if is_new {
                *holder = now.unwrap_or_else(|| Holder::Nobody { since: Instant::now() });
            }
            is_new
        });
    }

    /// Waits. A request to give the seat up is answered at once, since this process does not hold it.
    async fn pause(&mut self, time: Duration) {
        tokio::select! {
            () = sleep(time) => {}
            Some(done) = self.requests.recv() => {
                self.candidate = None;
                done.send(()).ok();
            }
        }
    }
}
