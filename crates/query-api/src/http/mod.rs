//! The HTTP face: GraphQL over GET, POST, WebSocket and server-sent events, and the book as NDJSON.

mod events;
mod graphiql;
mod graphql;
mod operation_ids;
mod problem;
mod sent;
mod streams;
mod websocket;

use std::sync::Arc;

use async_graphql::Executor;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Extensions, HeaderMap, StatusCode},
    middleware::from_fn_with_state,
    routing::get,
};
use daybook_domain::Actor;
use daybook_edge::{
    drain::Drain,
    problem::Problem,
    rates::{ClientAddress, Rates},
    tokens::{Bearer, Keys},
};

use self::problem::for_staff;
pub use self::websocket::SocketLimits;
use crate::{
    QuerySettings,
    graphql::{
        batches::BatchExecutor,
        documents::Documents,
        environment::Now,
        schema::{Admin, Storefront, build},
        stream_limits::StreamPermits,
        viewer::{Origin, Viewer},
    },
    inventory::StockWatch,
    reader::{
        Reader,
        share::{Capacity, Share},
        tail::Tail,
    },
};

/// The largest request, in bytes.
const MAX_BODY: usize = 1 << 20;

/// An endpoint: a schema, and its access rules.
struct Endpoint<E> {
    schema: E,
    documents: Documents,
    reader: Reader,
    keys: Keys,
    staff_only: bool,
    streams: StreamPermits,
    sockets: SocketLimits,
    rates: Rates,
    now: Now,
    drain: Drain,
}

pub(crate) fn router(settings: &QuerySettings) -> Router {
    let streams = StreamPermits::new(settings.streams);
    let rates = Rates::new(&settings.rates);
    let tail = Tail::default();
    let share = Share::of_process(&Capacity::new(settings.limits));
    let reader = Reader::new(settings.book.clone(), tail.clone(), settings.patience, share);
    let now = Now(Arc::clone(&settings.database_now));
    let stock = StockWatch::new(reader.clone(), now, Arc::new(settings.storefront.clone()));
    let (storefront, admin): (Storefront, Admin) = (build(settings, stock.clone()), build(settings, stock));
    Router::new()
        .merge(endpoint("/graphql", Endpoint::new(storefront, &reader, settings, &streams, &rates, false)))
        .merge(endpoint("/admin/graphql", Endpoint::new(admin, &reader, settings, &streams, &rates, true)))
        .merge(events::router(settings, tail, streams, rates))
        .merge(graphiql::router())
        .method_not_allowed_fallback(async || Problem::method_not_allowed("the path does not support this method"))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

fn endpoint<E: Executor>(path: &str, endpoint: Endpoint<E>) -> Router {
    let endpoint = Arc::new(endpoint);
    Router::new()
        .route(path, get(graphql::get::<E>).post(graphql::post::<E>))
        // For clients that use a separate URL for WebSocket.
        .route(&format!("{path}/ws"), get(async || StatusCode::UPGRADE_REQUIRED))
        .layer(from_fn_with_state(Arc::clone(&endpoint), websocket::upgrade::<E>))
        .with_state(endpoint)
}

impl<E> Endpoint<BatchExecutor<E>> {
    fn new(
        schema: E,
        reader: &Reader,
        settings: &QuerySettings,
        streams: &StreamPermits,
        rates: &Rates,
        staff_only: bool,
    ) -> Self {
        Self {
            schema: BatchExecutor::new(
                schema,
                reader.clone(),
                Now(Arc::clone(&settings.database_now)),
                settings.introspection,
            ),
            documents: Documents::new(),
            reader: reader.clone(),
            keys: settings.keys.clone(),
            staff_only,
            streams: streams.clone(),
            sockets: settings.sockets,
            rates: rates.clone(),
            now: Now(Arc::clone(&settings.now)),
            drain: settings.drain.clone(),
        }
    }
}

impl<E> Endpoint<E> {
    /// The viewer of a request, if they may use this endpoint.
    fn viewer(
        &self,
        authorization: Option<&str>,
        address: Option<ClientAddress>,
        origin: Origin,
    ) -> Result<Viewer, Problem> {
        let bearer = match authorization {
            None if !self.staff_only => Ok(None),
            given => self.keys.check_header(given).map(Some),
        };
        let actor = bearer.as_ref().map(|bearer| bearer.as_ref().map_or(&Actor::Guest, |bearer| &bearer.actor));
        self.rates.check(actor.ok(), address)?;
        let (actor, until) = match bearer? {
            None => (Actor::Guest, None),
            Some(Bearer { actor, until }) => (actor, Some(until)),
        };
        let viewer = Viewer { actor, authorization: authorization.map(str::to_owned), until, address, origin };
        if self.staff_only && !viewer.is_staff() {
            return Err(for_staff());
        }
        Ok(viewer)
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The address that the request is counted by.
fn address(extensions: &Extensions) -> Option<ClientAddress> {
    extensions.get().copied()
}
