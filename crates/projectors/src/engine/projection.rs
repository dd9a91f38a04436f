//! A version of a view as the effect of a consumer, and the lock that its swap takes.

use daybook_event_store::RecordedEvent;
use daybook_event_stream::{Effect, EffectError, SharedEvent};
use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::{recorded::Recorded, store::Store, view::ViewSpec};

/// The lock of a view's name. Projections share it, and the swap of a rebuild takes it alone. Waiters get it in the order in which they
/// came, so a swap gets it under any load.
const LOCK: i32 = 0x7669_6577;

/// Locks a view: no events are projected into it until the transaction ends.
pub(crate) async fn lock(
    transaction: &tokio_postgres::Transaction<'_>,
    view: &ViewSpec,
) -> Result<(), tokio_postgres::Error> {
    transaction.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", &[&LOCK, &view.name]).await?;
    Ok(())
}

/// A version of a view, as the effect of a consumer.
pub struct Projection {
    pub(crate) view: &'static ViewSpec,
    pub(crate) version: i32,
    pub(crate) schema: String,
}

impl Projection {
    /// A version of a view.
    #[must_use]
    pub fn new(view: &'static ViewSpec, version: i32) -> Self {
        Self { view, version, schema: view.versioned(version) }
    }

    /// Projects events, whether or not this version is the one that is shown.
    pub(crate) async fn project(
        &self,
        transaction: &Transaction<'_>,
        events: &[SharedEvent],
    ) -> Result<(), EffectError> {
        let events = events.iter().map(Recorded::of).collect::<Result<Vec<_>, _>>()?;
        (self.view.project)(&Store::new(transaction, &self.schema), &events).await
    }
}

/// A version that is not shown, as the effect of a consumer: one that is being built, or that the audit folds.
pub(super) struct NotShown<'p>(pub(super) &'p Projection);

impl Effect for NotShown<'_> {
    async fn apply(&self, transaction: &Transaction<'_>, events: &[SharedEvent]) -> Result<(), EffectError> {
        self.0.project(transaction, events).await
    }
}

impl Effect for Projection {
    fn knows(&self, event: &RecordedEvent) -> bool {
        daybook_codec::knows(&event.event_type, event.schema_version)
    }

    async fn apply(&self, transaction: &Transaction<'_>, events: &[SharedEvent]) -> Result<(), EffectError> {
        let lock = transaction.prepare_cached(self.view.lock()).await?;
        let shown = transaction
            .prepare_cached("SELECT 1 FROM views WHERE name = $1 AND version = $2 AND revision = $3")
            .await?;
        // One round trip. The second statement still sees what was committed before the first one had its lock.
        let (lock_parameters, parameters): ([&(dyn ToSql + Sync); 2], [&(dyn ToSql + Sync); 3]) =
            ([&LOCK, &self.view.name], [&self.view.name, &self.version, &self.view.revision]);
        let (_, shown) = futures::try_join!(
            transaction.query_one(&lock, &lock_parameters),
            transaction.query_opt(&shown, &parameters)
        )?;
        if shown.is_none() {
            return Err(EffectError::Retired);
        }
        self.project(transaction, events).await
    }
}
