//! Who is looking.

use async_graphql::Context;
use daybook_domain::{Actor, ids::CustomerId};
use daybook_edge::rates::ClientAddress;

use crate::graphql::error::coded;

/// Who is looking, and with which token they came.
#[derive(Debug, Clone)]
pub(crate) struct Viewer {
    pub(crate) actor: Actor,
    /// The value of their `Authorization` header; a guest may have none.
    pub(crate) authorization: Option<String>,
    /// The address that they are counted by.
    pub(crate) address: Option<ClientAddress>,
}

impl Viewer {
    pub(crate) const fn is_staff(&self) -> bool {
        matches!(self.actor, Actor::Support(_) | Actor::Admin(_))
    }

    pub(crate) fn may_see(&self, owner: Option<CustomerId>) -> bool {
        self.actor.may_touch(owner)
    }
}

/// Who is looking.
pub(crate) fn viewer<'c>(context: &Context<'c>) -> async_graphql::Result<&'c Viewer> {
    context.data::<Viewer>()
}

/// Only staff may see this.
pub(crate) fn staff_only(context: &Context<'_>) -> async_graphql::Result<()> {
    if viewer(context)?.is_staff() { Ok(()) } else { Err(coded("FORBIDDEN", "this is for staff")) }
}
