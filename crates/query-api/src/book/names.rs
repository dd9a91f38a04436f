//! The filter of events.

use daybook_codec::{UnknownType, check_types, stored_names};
use daybook_event_store::Filter;
use uuid::Uuid;

/// Which events are wanted.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Events of these types, by the names of today or of before.
    pub(crate) types: Option<Vec<String>>,
    /// Events of this stream.
    pub(crate) stream: Option<String>,
    /// Events of this actor.
    pub(crate) actor: Option<String>,
    /// Events of this causal chain.
    pub(crate) correlation_id: Option<Uuid>,
}

impl TryFrom<Wanted> for Filter {
    type Error = UnknownType;

    fn try_from(wanted: Wanted) -> Result<Self, UnknownType> {
        let Wanted { types, stream, actor, correlation_id } = wanted;
        check_types(types.as_deref().unwrap_or_default())?;
        Ok(Self { types: types.map(|types| stored_names(&types)), stream, actor, correlation_id })
    }
}
