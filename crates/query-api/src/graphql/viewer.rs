//! The viewer: the actor behind a request.

use async_graphql::Context;
use daybook_domain::{Actor, Owner};
use daybook_edge::rates::ClientAddress;

use crate::graphql::error::coded;

/// The actor behind a request, and the token that it came with.
#[derive(Debug, Clone)]
pub(crate) struct Viewer {
    pub(crate) actor: Actor,
    /// The value of the `Authorization` header; a guest may have none.
    pub(crate) authorization: Option<String>,
    /// The address that requests are counted by.
    pub(crate) address: Option<ClientAddress>,
}

impl Viewer {
    pub(crate) const fn is_staff(&self) -> bool {
        matches!(self.actor, Actor::Support(_) | Actor::Admin(_))
    }

    /// Whether the viewer may see what belongs to an owner. The bus asks the same function before a command is decided.
    pub(crate) fn may_see(&self, owner: Owner) -> bool {
        self.actor.may_touch(owner)
    }
}

/// The viewer of a request.
pub(crate) fn viewer<'c>(context: &Context<'c>) -> async_graphql::Result<&'c Viewer> {
    context.data::<Viewer>()
}

/// Refuses viewers who are not staff.
pub(crate) fn staff_only(context: &Context<'_>) -> async_graphql::Result<()> {
    if viewer(context)?.is_staff() { Ok(()) } else { Err(coded("FORBIDDEN", "only staff may do this")) }
}
