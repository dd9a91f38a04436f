//! The effect of a reactor: events become rows, in the transaction of the checkpoint.

use std::{collections::BTreeMap, sync::Arc};

use daybook_domain::Event;
use daybook_event_store::RecordedEvent;
use daybook_event_stream::{Effect, EffectError, SharedEvent};
use deadpool_postgres::Transaction;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{Reactions, Reactor, queue};

/// The namespace of ids of reactions (a random UUID, fixed for ever).
const REACTIONS: Uuid = Uuid::from_u128(0x7d5b_1f0a_93c4_4e86_a2d7_5c1e_08b9_f36d);

/// A reactor as what a consumer does with events.
pub(super) struct Reacting<'n> {
    pub(super) reactor: &'static Reactor,
    /// Wakes the worker of this process.
    pub(super) due: &'n Notify,
}

impl Effect for Reacting<'_> {
    async fn apply(&self, transaction: &Transaction<'_>, events: &[SharedEvent]) -> Result<(), EffectError> {
        let mut changes = BTreeMap::new();
        for shared in events {
            let event = decoded(shared)?;
            let mut reactions = Reactions::default();
            (self.reactor.react)(&event, shared.effective_at, &mut reactions);
            for (number, (key, reaction)) in reactions.0.into_iter().enumerate() {
                // The last change of a key in the batch is the one that counts.
                changes.insert(key, reaction.map(|reaction| self.row(shared, number, reaction)));
            }
        }
        let sets = queue::write(transaction, self.reactor.name, &changes).await?;
        if sets > 0 {
            self.due.notify_one();
        }
        Ok(())
    }
}

impl Reacting<'_> {
    fn row(&self, event: &RecordedEvent, number: usize, reaction: super::Reaction) -> queue::NewReaction {
        let name = format!("{} {} {number}", self.reactor.name, event.event_id);
        queue::NewReaction {
            id: Uuid::new_v5(&REACTIONS, name.as_bytes()),
            due: reaction.due,
            command: reaction.command,
            correlation_id: event.correlation_id,
            causation_id: event.event_id,
        }
    }
}

/// What an event says. The reactors of a process decode it once.
fn decoded(shared: &SharedEvent) -> Result<Arc<Event>, EffectError> {
    let decode = |record: &Arc<RecordedEvent>| {
        let event = daybook_codec::decode(&record.event_type, record.schema_version, record.data.as_bytes());
        event.map(Arc::new).map_err(|error| error.to_string())
    };
    let event: Result<Arc<Event>, String> = shared.decoded(decode);
    event.map_err(|reason| EffectError::Poison { position: shared.position, reason })
}
