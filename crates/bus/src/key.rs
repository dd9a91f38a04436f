//! The key of a command in the book: its id is known within the authority of its sender.

use daybook_domain::{Actor, Authority, Command, Streams};
use sha2::{Digest, Sha256};

use super::Submission;

/// What stands beside the id of a command in the book.
pub(super) struct Key {
    /// The authority within which the id is known, as text.
    pub(super) scope: String,
    /// A digest of the command. It shows that an id is reused for another command.
    pub(super) fingerprint: Vec<u8>,
}

impl Key {
    /// The key of a command that was decided on these streams. `fingerprint` is the [`digest`] of its actor and itself.
    pub(super) fn of(submission: &Submission, fingerprint: &[u8], streams: &Streams<'_>) -> Self {
        let (command, actor) = (&submission.command, &submission.actor);
        let authority = Authority::of(command, actor, streams);
        let fingerprint = match (&authority, actor) {
            // A customer acts as the bearer of a cart, as the guest did before the login.
            (Authority::Bearer(_), Actor::Customer(_)) => digest(&Actor::Guest, command).0,
            (Authority::Bearer(_) | Authority::Actor(_), _) => fingerprint.to_vec(),
        };
        Self { scope: authority.to_string(), fingerprint }
    }
}

/// A digest of an actor and a command, and the length of the command as JSON.
pub(super) fn digest(actor: &Actor, command: &Command) -> (Vec<u8>, usize) {
    let mut digest = Sha256::new();
    digest.update(actor.to_string());
    digest.update([0]);
    digest.update(command.name());
    digest.update([0]);
    // Commands are plain structs with text keys, which always serialise.
    let command = serde_json::to_vec(command).unwrap_or_default();
    digest.update(&command);
    (digest.finalize()[..16].to_vec(), command.len())
}
