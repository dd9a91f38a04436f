//! The way of a command to the process that decides.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use daybook_bus::{Elsewhere, Forwarded, Holder, Submission};
use futures::future::BoxFuture;
use tokio::{sync::watch, time::sleep, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{
    frame,
    link::{Link, Reply},
};

/// How long a command waits for a holder of the seat, or for the connection to it, before this process decides.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long to wait before a holder that is out of reach is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Where commands are decided.
#[derive(Clone)]
enum Route {
    /// In this process, which holds the seat.
    Here,
    /// Nobody holds the seat.
    Nobody { since: Instant },
    /// In another process, to which a connection is being made.
    Connecting,
    /// In another process.
    There(Arc<Link>),
    /// In this process, because the holder is out of reach.
    Unreachable,
}

/// Forwards commands to the holder of the seat.
pub struct Forwarder {
    route: watch::Receiver<Route>,
    _task: AbortOnDropHandle<()>,
}

impl Forwarder {
    /// Forwards to the holder, as it changes.
    #[must_use]
    pub fn new(holder: watch::Receiver<Holder>) -> Arc<Self> {
        let first = match &*holder.borrow() {
            Holder::This => Route::Here,
            Holder::Nobody { since } => Route::Nobody { since: *since },
            Holder::Other(_) => Route::Connecting,
        };
        let (routes, route) = watch::channel(first);
        Arc::new(Self { route, _task: AbortOnDropHandle::new(tokio::spawn(follow(holder, routes))) })
    }

    /// The connection to the holder. None if this process decides.
    async fn link(&self) -> Option<Arc<Link>> {
        let (mut route, begin) = (self.route.clone(), Instant::now());
        loop {
            let until = match &*route.borrow_and_update() {
                Route::Here | Route::Unreachable => return None,
                Route::There(link) if link.is_open() => return Some(Arc::clone(link)),
                Route::Nobody { since } => *since + PATIENCE,
                Route::There(_) | Route::Connecting => begin + PATIENCE,
            };
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() || timeout(rest, route.changed()).await.is_err() {
                return None;
            }
        }
    }

    async fn send(&self, submission: &Submission, is_patient: bool) -> Forwarded {
        let Some(link) = self.link().await else { return Forwarded::NotSent };
        let payload = match frame::encode(submission, is_patient) {
            Ok(payload) => payload,
            Err(error) => {
                tracing::error!(%error, "a command cannot be forwarded");
                return Forwarded::NotSent;
            }
        };
        match link.ask(payload).await {
            None => Forwarded::Unanswered,
            Some(Reply::NotSent) => Forwarded::NotSent,
            Some(Reply::Answer(payload)) => match frame::decode_answer(&payload) {
                Ok(Some(answer)) => Forwarded::Answered(answer),
                Ok(None) => Forwarded::NotSent,
                Err(error) => {
                    tracing::error!(%error, "an answer of the holder of the seat cannot be read");
                    Forwarded::Unanswered
                }
            },
        }
    }
}

impl Elsewhere for Forwarder {
    fn is_here(&self) -> bool {
        matches!(&*self.route.borrow(), Route::Here)
    }

    fn forward<'f>(&'f self, submission: &'f Submission, is_patient: bool) -> BoxFuture<'f, Forwarded> {
        Box::pin(async move {
            let forwarded = self.send(submission, is_patient).await;
            let outcome = match &forwarded {
                Forwarded::Answered(_) => "answered",
                Forwarded::NotSent => "not_sent",
                Forwarded::Unanswered => "unanswered",
            };
            metrics::counter!("daybook_commands_forwarded_total", "outcome" => outcome).increment(1);
            forwarded
        })
    }
}

/// Keeps a connection to the holder, as long as there is one that is within reach.
async fn follow(mut holder: watch::Receiver<Holder>, routes: watch::Sender<Route>) {
    loop {
        let now = holder.borrow_and_update().clone();
        let changed = match now {
            Holder::This => {
                routes.send_replace(Route::Here);
                holder.changed().await
            }
            Holder::Nobody { since } => {
                routes.send_replace(Route::Nobody { since });
                holder.changed().await
            }
            Holder::Other(place) => {
                // A holder that was out of reach stays so until it is connected to.
                routes.send_if_modified(|route| {
                    let is_new = !matches!(route, Route::Unreachable);
                    if is_new {
                        *route = Route::Connecting;
                    }
                    is_new
                });
                match Link::connect(&place).await {
                    Ok(link) => {
                        let link = Arc::new(link);
                        routes.send_replace(Route::There(Arc::clone(&link)));
                        tokio::select! {
                            changed = holder.changed() => changed,
                            () = link.ended() => {
                                routes.send_replace(Route::Unreachable);
                                pause(&mut holder).await
                            }
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, address = place.address, "the holder of the seat is out of reach");
                        routes.send_replace(Route::Unreachable);
                        pause(&mut holder).await
                    }
                }
            }
        };
        if changed.is_err() {
            // The part in the seat has ended, with its process.
            return;
        }
    }
}

/// Waits before the next try, or until there is another holder.
async fn pause(holder: &mut watch::Receiver<Holder>) -> Result<(), watch::error::RecvError> {
    tokio::select! {
        () = sleep(RETRY) => Ok(()),
        changed = holder.changed() => changed,
    }
}
