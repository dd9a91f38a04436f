//! The end of a connection in the holder of the seat: commands of another process are decided here.

use std::{io, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
    response::Response,
};
use daybook_bus::{Answer, Bus};
use daybook_edge::problem::Problem;
use futures::{StreamExt, stream::FuturesUnordered};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, split},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use super::{
    PATH, PROTOCOL,
    frame::{self, ALIVE, CLOSING, CONTROL, Frames, put},
};

/// How long a connection goes on after the process is asked to stop, so that commands on the way are answered.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Takes commands of other processes.
#[derive(Clone)]
pub struct Receiver {
    secret: Arc<str>,
    stop: CancellationToken,
}

impl Receiver {
    /// Takes commands of those who show the secret, until the process stops.
    #[must_use]
    pub const fn new(secret: Arc<str>, stop: CancellationToken) -> Self {
        Self { secret, stop }
    }

    /// Upgrades the connection of a request, and decides the commands that come over it.
    pub(crate) fn accept(&self, bus: Bus, mut request: Request<Body>) -> Result<Response, Problem> {
        if !self.may(request.headers()) {
            return Err(Problem::not_found(PATH));
        }
        let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or_else(|| Problem::not_found(PATH))?;
        let stop = self.stop.clone();
        tokio::spawn(async move {
            let answered = match upgrade.await {
                Ok(upgraded) => answer_all(&bus, TokioIo::new(upgraded), &stop).await,
                Err(error) => Err(io::Error::other(error)),
            };
            if let Err(error) = answered {
                tracing::debug!(%error, "the connection of another process broke");
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, header::HeaderValue::from_static(PROTOCOL));
        Ok(response)
    }

    /// Whether a request speaks this protocol and shows the secret.
    fn may(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).map(header::HeaderValue::as_bytes).unwrap_or_default();
        let shown = text(header::AUTHORIZATION).strip_prefix(b"Bearer ").unwrap_or_default();
        text(header::UPGRADE) == PROTOCOL.as_bytes() && is_same(shown, self.secret.as_bytes())
    }
}

/// Compares two texts in a time that does not show where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
}

/// Decides the commands of a connection, and answers each as soon as it is decided.
async fn answer_all(
    bus: &Bus,
    io: impl AsyncRead + AsyncWrite + Send + 'static,
    stop: &CancellationToken,
) -> io::Result<()> {
    let (mut reader, writer) = split(io);
    let (out, unsent) = mpsc::unbounded_channel();
    let writes = tokio::spawn(write(unsent, writer));
    let (mut frames, mut deciding) = (Frames::default(), FuturesUnordered::new());
    let (mut open, mut has_told) = (true, false);
    let too_late = async {
        stop.cancelled().await;
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    let mut too_late = std::pin::pin!(too_late);
    while open || !deciding.is_empty() {
        tokio::select! {
            more = frames.fill(&mut reader), if open => {
                open = more?;
                let mut alive = false;
                while let Some((number, payload)) = frames.next()? {
                    if number == CONTROL {
                        alive = true;
                    } else {
                        deciding.push(decide(bus, number, payload));
                    }
                }
                if alive {
                    send(&out, CONTROL, ALIVE);
                }
            }
            Some((number, answer)) = deciding.next() => send(&out, number, &answer?),
            () = stop.cancelled(), if !has_told => {
                has_told = true;
                send(&out, CONTROL, CLOSING);
            }
            () = &mut too_late => break,
        }
    }
    drop(out);
    writes.await?
}

/// Adds a frame to what is to be sent. The connection may have ended.
fn send(out: &mpsc::UnboundedSender<Vec<u8>>, number: u64, payload: &[u8]) {
    let mut framed = Vec::with_capacity(payload.len() + 16);
    put(&mut framed, number, payload);
    out.send(framed).ok();
}

/// Decides a command in this process.
async fn decide(bus: &Bus, number: u64, payload: bytes::Bytes) -> (u64, serde_json::Result<Vec<u8>>) {
    let Some((submission, is_patient)) = frame::decode(&payload) else { return (number, frame::encode_unknown()) };
    drop(payload);
    let answer: Answer = bus.answer_here(submission, is_patient).await;
    (number, frame::encode_answer(answer))
}

/// Sends answers, many in one write.
async fn write(mut unsent: mpsc::UnboundedReceiver<Vec<u8>>, mut writer: impl AsyncWrite + Unpin) -> io::Result<()> {
    let (mut answers, mut out) = (Vec::new(), Vec::new());
    while unsent.recv_many(&mut answers, 256).await > 0 {
        for answer in answers.drain(..) {
            out.extend_from_slice(&answer);
        }
        writer.write_all(&out).await?;
        out.clear();
    }
    writer.shutdown().await
}
