//! A WebSocket to the back-office of a shop, by the protocol `graphql-transport-ws`.

use std::time::Duration;

use anyhow::{Context, ensure};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue, protocol::WebSocketConfig},
};

use crate::Shop;

/// How long to wait for an event that must come.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A WebSocket that is initialised.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a WebSocket as an administrator.
///
/// # Errors
/// When the shop does not accept it.
pub async fn open(shop: &Shop) -> anyhow::Result<Socket> {
    let url = shop.ready("url").replace("http://", "ws://") + "/admin/graphql";
    let mut request = url.into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("graphql-transport-ws"));
    let config = WebSocketConfig::default().read_buffer_size(1 << 10).write_buffer_size(0);
    let (mut socket, _) = connect_async_with_config(request, Some(config), true).await?;
    let authorization = format!("Bearer {}", shop.ready("admin_token"));
    let init = json!({ "type": "connection_init", "payload": { "authorization": authorization } });
    socket.send(Message::text(init.to_string())).await?;
    let answer = timeout(PATIENCE, socket.next()).await?.context("the socket was closed")??;
    ensure!(answer.to_text()?.contains("connection_ack"), "{answer:?}");
    Ok(socket)
}

/// Subscribes on a socket.
///
/// # Errors
/// When the socket is closed.
pub async fn subscribe(socket: &mut Socket, query: &str) -> anyhow::Result<()> {
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": { "query": query } });
    Ok(socket.send(Message::text(subscribe.to_string())).await?)
}

/// The data of the next event of a subscription.
///
/// # Errors
/// When no event comes, or one without data.
pub async fn next(socket: &mut Socket) -> anyhow::Result<Value> {
    loop {
        let message = timeout(PATIENCE, socket.next()).await?.context("the socket was closed")??;
        let Message::Text(text) = &message else { continue };
        let event: Value = serde_json::from_str(text)?;
        ensure!(event["type"] == "next" && event["payload"]["errors"].is_null(), "{event}");
        return Ok(event["payload"]["data"].clone());
    }
}
