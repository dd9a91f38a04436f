//! The HTTP server of a measurement, and callers with one connection each.

use std::net::SocketAddr;

use anyhow::Context;
use bytes::Bytes;
use chrono::TimeDelta;
use daybook_bus::{Bus, BusSettings, Clock};
use daybook_command_api::http::CommandApi;
use daybook_edge::{
    server::{self, ConnectionLimits, Ending},
    tokens::Keys,
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::{load::Call, shop::admin, stage::Stage};

/// The secret of the bench, whose server only this process can reach.
pub(super) const SECRET: &[u8] = b"the engine of a measurement is on loopback";

/// The most callers.
const CALLERS: usize = 10_000;

/// A command API with its bus, on a free port of this machine.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) bus: Bus,
    pub(super) token: String,
}

impl Server {
    /// Starts it. It ends with the process.
    pub(super) async fn start(stage: &Stage) -> anyhow::Result<Self> {
        let keys = keys()?;
        let token = token(&keys)?;
        let (bus, _) = Bus::start(stage.book.clone(), Clock::system(), &BusSettings::default());
        let router = CommandApi::new(bus.clone(), keys).router();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        // All callers come from one address.
        let limits = ConnectionLimits { connections_per_address: CALLERS, ..ConnectionLimits::default() };
        tokio::spawn(server::serve(listener, router, limits, Ending::default()));
        Ok(Self { address, bus, token })
    }

    /// A caller with a connection of its own.
    pub(super) async fn caller(&self) -> anyhow::Result<Caller> {
        Caller::connect(self.address, &self.token).await
    }
}

/// The keys of the bench.
pub(super) fn keys() -> anyhow::Result<Keys> {
    Ok(Keys::new(SECRET)?)
}

/// A token of the administrator of the bench.
pub(super) fn token(keys: &Keys) -> anyhow::Result<String> {
    Ok(keys.sign(&admin(), Clock::system().now(), TimeDelta::hours(24))?)
}

/// A client with one connection.
pub(super) struct Caller {
    sender: SendRequest<Full<Bytes>>,
    authorization: String,
    host: String,
}

impl Caller {
    /// Connects to a server.
    pub(super) async fn connect(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a caller's connection ended");
            }
        });
        Ok(Self { sender, authorization: format!("Bearer {token}"), host: address.to_string() })
    }

    /// Sends a command and reads the whole answer.
    pub(super) async fn send(&mut self, command: &str, body: String) -> Call {
        match self.answered(command, body).await {
            Ok(call) => call,
            Err(error) => {
                tracing::debug!(%error, "a call failed");
                Call::Failed
            }
        }
    }

    async fn answered(&mut self, command: &str, body: String) -> anyhow::Result<Call> {
        let (status, _) = self.post(&format!("/commands/{command}"), body).await?;
        Ok(match status {
            200 => Call::Done,
            422 => Call::Refused,
            _ => Call::Failed,
        })
    }

    /// Sends a GraphQL query and reads the whole answer. An answer with errors is a failure.
    pub(super) async fn ask(&mut self, path: &str, body: String) -> Call {
        match self.post(path, body).await {
            Ok((200, answer)) if answer.starts_with(b"{\"data\":{") && !contains(&answer, b"\"errors\":") => Call::Done,
            Ok((status, answer)) => {
                tracing::debug!(status, answer = %String::from_utf8_lossy(&answer), "a query failed");
                Call::Failed
            }
            Err(error) => {
                tracing::debug!(%error, "a query failed");
                Call::Failed
            }
        }
    }

    async fn post(&mut self, path: &str, body: String) -> anyhow::Result<(u16, Bytes)> {
        let request = Request::post(path)
            .header("host", &self.host)
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .body(Full::from(body))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await.context("no answer")?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
