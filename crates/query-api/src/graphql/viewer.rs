//! The viewer: the actor behind a request.

use async_graphql::Context;
use axum::http::{HeaderMap, HeaderValue};
use chrono::{DateTime, Utc};
use daybook_domain::{Actor, Owner};
use daybook_edge::{rates::ClientAddress, trace::TraceContext};

use crate::graphql::error::coded;

/// The actor behind a request, and the token that it came with.
#[derive(Debug, Clone)]
pub(crate) struct Viewer {
    pub(crate) actor: Actor,
    /// The value of the `Authorization` header; a guest may have none.
    pub(crate) authorization: Option<String>,
    /// When the token expires; a guest may have none. A stream ends then.
    pub(crate) until: Option<DateTime<Utc>>,
    /// The address that requests are counted by.
    pub(crate) address: Option<ClientAddress>,
    /// What the request belongs to.
    pub(crate) origin: Origin,
}

/// The header with the correlation id of a causal chain.
pub(crate) const CORRELATION_ID: &str = "correlation-id";

/// What a request belongs to. Its commands belong to the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// The trace.
    pub(crate) trace: Option<TraceContext>,
    /// The value of `Correlation-Id`, which command-api checks.
    pub(crate) correlation_id: Option<HeaderValue>,
}

impl Origin {
    /// What the headers of a request say.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self { trace: TraceContext::of(headers), correlation_id: headers.get(CORRELATION_ID).cloned() }
    }
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
