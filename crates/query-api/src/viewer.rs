//! Who is looking.

use async_graphql::{Context, Error, ErrorExtensions, ServerError, Value};
use daybook_domain::{Actor, ids::CustomerId};
use daybook_edge::rates::ClientAddress;

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

    pub(crate) fn may_see(&self, owner: Option<&CustomerId>) -> bool {
        self.actor.may_touch(owner)
    }
}

/// Who is looking.
pub(crate) fn viewer<'c>(context: &Context<'c>) -> async_graphql::Result<&'c Viewer> {
    context.data::<Viewer>()
}

/// An error with a stable code.
pub(crate) fn coded(code: &str, message: impl Into<String>) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
}

/// The code of an error of ours.
pub(crate) fn code(error: &Error) -> Option<&str> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code),
        _ => None,
    }
}

/// An error of the library, with a stable code.
pub(crate) fn with_code(mut error: ServerError, code: &str) -> ServerError {
    error.extensions.get_or_insert_default().set("code", code);
    error
}

/// Only staff may see this.
pub(crate) fn staff_only(context: &Context<'_>) -> async_graphql::Result<()> {
    if viewer(context)?.is_staff() { Ok(()) } else { Err(coded("FORBIDDEN", "this is for staff")) }
}
