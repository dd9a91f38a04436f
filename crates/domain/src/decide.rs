//! Deciding: what every command implements.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use daybook_kernel::{Unread, money::MoneyError};
use uuid::Uuid;

use crate::{Actor, Event, MAX_STREAMS, Reads, Refusal, State, Storefront, general::TooManyStreams, refusal::Refuse};

/// What a decision knows beside the command and the book. It is handed in, so that a decision can be repeated.
#[derive(Debug, Clone)]
pub struct Context {
    /// The time of the decision.
    pub now: DateTime<Utc>,
    /// The sender of the command.
    pub actor: Actor,
    /// The id of the command; ids that a decision needs derive from it.
    pub command_id: Uuid,
    /// What the storefront serves.
    pub storefront: Arc<Storefront>,
}

/// The outcome of an accepted command.
pub type Decision = daybook_kernel::Decision<Event>;

/// The streams that a decision sees.
pub type Streams<'a> = daybook_kernel::Streams<'a, State>;

/// How a command is decided.
pub trait Decide {
    /// Names the streams that the command is known to read before anything is loaded. Those that it is going to begin are left
    /// out; they count as empty until the commit.
    fn reads(&self, reads: &mut Reads);

    /// Decides: a pure function of the command, the context and the streams. A command that asks for what is so already is accepted
    /// without events ([`Decision::unchanged`]), so a sender may repeat it.
    ///
    /// # Errors
    /// [`Rejection::Refused`] when a rule says no; [`Rejection::NotLoaded`] when a stream is not loaded.
    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection>;
}

/// Why a decision produced no events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// A rule said no.
    Refused(Refusal),
    /// The decision read a stream that is not loaded; [`Streams::missing`](daybook_kernel::Streams::missing) names it. Load and
    /// decide again.
    NotLoaded,
}

impl<R: Refuse> From<R> for Rejection {
    fn from(refusal: R) -> Self {
        Self::Refused(refusal.into())
    }
}

impl From<MoneyError> for Rejection {
    fn from(error: MoneyError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<Unread> for Rejection {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::NotLoaded => Self::NotLoaded,
            Unread::TooMany => TooManyStreams { limit: MAX_STREAMS }.into(),
        }
    }
}

/// The state is that of another kind of stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is the state of another kind of stream")]
pub struct OtherStream;
