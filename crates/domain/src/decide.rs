//! Deciding: what every command implements.

use daybook_kernel::{Unread, money::MoneyError};

use crate::{Context, Event, MAX_STREAMS, Reads, Refusal, State, general::TooManyStreams, refusal::Refuse};

/// The outcome of an accepted command.
pub type Decision = daybook_kernel::Decision<Event>;

/// The streams that a decision sees.
pub type Streams<'a> = daybook_kernel::Streams<'a, State>;

/// How a command is decided.
pub trait Decide {
    /// Names the streams that the command is known to read before anything is loaded. Those that it is going to begin are left
    /// out; they count as empty until the commit.
    fn reads(&self, reads: &mut Reads);

    /// Decides: a pure function of the command, the context and the streams. A decision that changes nothing is refused rather
    /// than empty, so that every acknowledged command has left its trace in the book.
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
