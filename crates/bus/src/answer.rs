//! The answers to commands: from their decision, or from the book where another command had the outcome.

use std::sync::Arc;

use daybook_domain::StreamName;
use daybook_event_store::{FROM_THE_BEGINNING, Filter, Operation, Outcome, Store};

use crate::{
    CommandError, Receipt,
    decided::{self, Decided, Unwritten},
    job::Job,
};

/// The most events of an earlier command that are read for a command that repeats it. A checkout writes two, and at each of at most 1,000
/// stocks a claim and the end of some that have expired.
const MAX_UNIT: usize = 4_000;

/// Answers a command whose operation was committed as decided. Returns one with the outcome of an earlier command, which has begun a
/// stream: its answer is read from the book.
pub(super) fn answer((decided, operation, outcome): (Decided, Operation, Outcome)) -> Option<(Job, StreamName)> {
    let Decided { job, unwritten, .. } = decided;
    let answer = match (operation, outcome, unwritten) {
        (Operation::Write(unit), Outcome::Appended { first_position, versions, .. }, _) => {
            Ok(decided::receipt(unit, first_position, &versions))
        }
        (_, _, Some(Unwritten::Refused(refusal))) => {
            let pointer = refusal.pointer(&job.submission.command);
            Err(CommandError::Refused { refusal, pointer })
        }
        (_, _, Some(Unwritten::Repeats(stream))) => return Some((job, stream)),
        // The store answered a check as an append, or an append as a check.
        _ => Err(CommandError::Lost),
    };
    job.answer(answer);
    None
}

/// Answers a command with the outcome of the command that has begun a stream.
pub(super) async fn repeat_first(book: &impl Store, job: Job, stream: &StreamName) {
    job.answer(first_outcome(book, stream).await);
}

/// The outcome of the command that has begun a stream. Its events follow each other in the book.
async fn first_outcome(book: &impl Store, stream: &StreamName) -> Result<Receipt, CommandError> {
    let failed = |error| CommandError::Failed(Arc::new(error));
    let loaded = book.load_streams(&[stream.shared()], FROM_THE_BEGINNING).await.map_err(failed)?;
    let Some(first) = loaded.into_iter().flat_map(|loaded| loaded.events).next() else {
        return Err(CommandError::Lost);
    };
    let after = book.read_after(first.position - 1, MAX_UNIT, &Filter::default()).await.map_err(failed)?;
    let of_unit = after.into_iter().take_while(|event| event.causation_id == first.causation_id);
    Ok(decided::replayed(first.position, of_unit.collect()))
}

/// Answers a repeated command with the outcome of the first one.
pub(super) async fn replay(book: impl Store, job: Job, first_position: i64, events: i32) {
    let limit = usize::try_from(events).unwrap_or(0);
    let recorded = book.read_after(first_position - 1, limit, &Filter::default()).await;
    job.answer(match recorded {
        Ok(recorded) => Ok(decided::replayed(first_position, recorded)),
        Err(error) => Err(CommandError::Failed(Arc::new(error))),
    });
}
