//! The process that decides, where it may be another one. Of several processes on one book one should decide: two that decide on the
//! same streams keep being in conflict, and do their work again.

use futures::future::BoxFuture;

use crate::{Answer, Submission};

/// Finds the process that decides. It is implemented over HTTP (`command-api/src/forward`), and in the simulation.
pub trait Elsewhere: Send + Sync + 'static {
    /// Whether this process decides. It is asked for every command.
    fn is_here(&self) -> bool;

    /// Sends a command to the process that decides. A forwarded command is decided where it arrives.
    fn forward<'f>(&'f self, submission: &'f Submission, is_patient: bool) -> BoxFuture<'f, Forwarded>;
}

/// What became of a command that was to be forwarded.
#[derive(Debug, Clone)]
pub enum Forwarded {
    /// It was answered.
    Answered(Answer),
    /// It was not sent, or not decided: no other process is within reach. This process decides it.
    NotSent,
    /// It was sent, and no answer came. It may be in the book, or be written later. Another decision with the same command id is safe: the
    /// book has a command once.
    Unanswered,
}
