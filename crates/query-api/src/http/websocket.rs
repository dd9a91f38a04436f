//! Operations over WebSocket (`graphql-transport-ws`). The token comes in the header, or in the payload of `connection_init`
//! as `authorization`.

use std::sync::Arc;

use async_graphql::{Data, Executor, http::ALL_WEBSOCKET_PROTOCOLS};
use async_graphql_axum::{GraphQLProtocol, GraphQLWebSocket};
use axum::{
    extract::{FromRequestParts, Request, State, WebSocketUpgrade},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::Value;

use super::{Endpoint, MAX_BODY, text};
use crate::viewer::coded;

/// Takes requests that ask to go over to WebSocket, and lets the others through.
pub(super) async fn upgrade<E: Executor>(
    State(endpoint): State<Arc<Endpoint<E>>>,
    request: Request,
    next: Next,
) -> Response {
    let asked = text(request.headers(), header::UPGRADE.as_str());
    if !asked.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket")) {
        return next.run(request).await;
    }
    let (mut parts, _) = request.into_parts();
    let protocol = match GraphQLProtocol::from_request_parts(&mut parts, &()).await {
        Ok(protocol) => protocol,
        Err(status) => return status.into_response(),
    };
    match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => serve(endpoint, &parts.headers, protocol, upgrade),
        Err(rejection) => rejection.into_response(),
    }
}

fn serve<E: Executor>(
    endpoint: Arc<Endpoint<E>>,
    headers: &HeaderMap,
    protocol: GraphQLProtocol,
    upgrade: WebSocketUpgrade,
) -> Response {
    let authorization = text(headers, header::AUTHORIZATION.as_str()).map(str::to_owned);
    let upgrade = upgrade.protocols(ALL_WEBSOCKET_PROTOCOLS).max_message_size(MAX_BODY);
    upgrade.on_upgrade(move |socket| async move {
        let schema = endpoint.streams.of_connection(endpoint.schema.clone());
        let init = move |payload: Value| async move {
            let given = payload.get("authorization").or_else(|| payload.get("Authorization"));
            let given = given.and_then(|value| value.as_str().map(str::to_owned)).or(authorization);
            let viewer = endpoint.viewer(given.as_deref());
            let viewer = viewer.map_err(|rejection| coded(rejection.code, rejection.detail))?;
            let mut data = Data::default();
            data.insert(viewer);
            Ok(data)
        };
        GraphQLWebSocket::new(socket, schema, protocol).on_connection_init(init).serve().await;
    })
}
