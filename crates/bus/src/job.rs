//! A command on its way through the bus.

use std::{net::IpAddr, sync::Arc};

use chrono::{DateTime, Utc};
use daybook_domain::{Actor, Context, Storefront};
use tokio::sync::oneshot;

use crate::{
    Answer, CommandError, Receipt, Submission, key,
    room::Taken,
    turns::{SenderId, Weighed},
};

/// The bytes of a command beside its fields: names, ids, queues, the channel of its answer.
const OVERHEAD: usize = 512;

/// Whose turn a command uses: an actor's, or for a guest that of its address.
#[derive(Hash)]
pub(super) enum Sender<'s> {
    Actor(&'s Actor),
    Address(IpAddr),
}

/// A command that waits for its outcome.
pub(super) struct Job {
    pub(super) submission: Submission,
    pub(super) fingerprint: Vec<u8>,
    /// Whose turn it uses.
    pub(super) sender: SenderId,
    /// Whether its caller waits for room rather than fail.
    pub(super) is_patient: bool,
    /// How often it was in conflict.
    pub(super) attempts: u32,
    /// The most streams that a decision of it has read.
    pub(super) streams: u32,
    bytes: usize,
    /// The memory that it takes in the bus.
    pub(super) taken: Option<Taken>,
    reply: oneshot::Sender<Answer>,
}

impl Weighed for Job {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Job {
    /// A command, and the channel of its answer.
    pub(super) fn new(
        submission: Submission,
        is_patient: bool,
        sender: impl FnOnce(Sender<'_>) -> SenderId,
    ) -> (Self, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        let sender = sender(match (&submission.actor, submission.address) {
            (Actor::Guest, Some(address)) => Sender::Address(address),
            (actor, _) => Sender::Actor(actor),
        });
        let (fingerprint, length) = key::digest(&submission.actor, &submission.command);
        let (attempts, streams, taken) = (0, 0, None);
        let bytes = length + OVERHEAD;
        (Self { submission, fingerprint, sender, is_patient, attempts, streams, bytes, taken, reply }, answer)
    }

    pub(super) fn answer(self, outcome: Result<Receipt, CommandError>) {
        let label = match &outcome {
            Ok(receipt) if receipt.replayed => "replayed",
            Ok(receipt) if receipt.events.is_empty() => "unchanged",
            Ok(_) => "accepted",
            Err(CommandError::Refused { .. }) => "refused",
            Err(CommandError::KeyReused(_)) => "key_reused",
            Err(_) => "failed",
        };
        metrics::counter!("daybook_commands_total", "command" => self.submission.command.name(), "outcome" => label)
            .increment(1);
        // The caller may have stopped waiting. The outcome is valid all the same.
        drop(self.reply.send(Answer { outcome, streams: self.streams }));
    }

    pub(super) fn context(&self, now: DateTime<Utc>, storefront: &Arc<Storefront>) -> Context {
        let (actor, command_id) = (self.submission.actor.clone(), self.submission.command_id);
        Context { now, actor, command_id, storefront: Arc::clone(storefront) }
    }
}
