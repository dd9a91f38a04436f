//! The effect of a reactor: events become rows, in the transaction of the checkpoint.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use daybook_domain::Event;
use daybook_event_store::RecordedEvent;
use daybook_event_stream::{Effect, EffectError, SharedEvent};
use deadpool_postgres::Transaction;
use uuid::Uuid;

use super::{
    queue,
    reactor::{Reaction, Reactions, Reactor},
    wake::Waker,
};

/// The namespace of ids of reactions (a random UUID, fixed for ever).
const REACTIONS: Uuid = Uuid::from_u128(0x7d5b_1f0a_93c4_4e86_a2d7_5c1e_08b9_f36d);

/// A reactor as what a consumer does with events.
pub(super) struct Reacting {
    reactor: &'static Reactor,
    /// Wakes the worker of this process, if it has one.
    waker: Option<Arc<Waker>>,
    /// Whether reactions were written that the worker has to be woken for. It cannot see them before they are committed.
    is_soon: AtomicBool,
}

impl Effect for Reacting {
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
        queue::write(transaction, self.reactor.name, &changes).await?;
        let first_due = changes.values().flatten().map(|reaction| reaction.due).min();
        if let (Some(waker), Some(due)) = (&self.waker, first_due)
            && waker.is_soon(due)
        {
            self.is_soon.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn knows(&self, event: &RecordedEvent) -> bool {
        daybook_codec::knows(&event.event_type, event.schema_version)
    }

    fn committed(&self) {
        if let Some(waker) = &self.waker
            && self.is_soon.swap(false, Ordering::Relaxed)
        {
            waker.wake();
        }
    }
}

impl Reacting {
    pub(super) fn new(reactor: &'static Reactor, waker: Option<Arc<Waker>>) -> Self {
        Self { reactor, waker, is_soon: AtomicBool::new(false) }
    }

    fn row(&self, event: &RecordedEvent, number: usize, reaction: Reaction) -> queue::NewReaction {
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

/// What an event says. The reactors of a process decode it once. Why it cannot be read, and whether a newer program can, is kept as well.
fn decoded(shared: &SharedEvent) -> Result<Arc<Event>, EffectError> {
    let decode = |record: &Arc<RecordedEvent>| {
        let event = daybook_codec::decode(&record.event_type, record.schema_version, record.data.as_bytes());
        event.map(Arc::new).map_err(|error| (error.to_string(), error.is_newer()))
    };
    let event: Result<Arc<Event>, (String, bool)> = shared.decoded(decode);
    event.map_err(|(reason, is_newer)| match is_newer {
        true => EffectError::Newer { position: shared.position, reason },
        false => EffectError::Poison { position: shared.position, reason },
    })
}
