//! A connection to the holder of the seat, and the commands that wait for their answers on it.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use bytes::Bytes;
use daybook_bus::Place;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, split},
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use super::{
    PATH, PING_EVERY, PROTOCOL, SILENCE,
    frame::{ALIVE, CLOSING, CONTROL, Frames, put},
};

/// How long connecting may take, with the answer to the upgrade.
const CONNECTING: Duration = Duration::from_millis(500);
/// The most commands of one write.
const WRITE: usize = 256;
/// The most commands that wait to be sent.
const UNSENT: usize = 10_000;

/// What becomes of a command on a connection. Without one, it was sent and not answered.
pub(super) enum Reply {
    /// The payload of its answer.
    Answer(Bytes),
    /// It was not sent.
    NotSent,
}

/// A command that is to be sent.
struct Question {
    payload: Vec<u8>,
    reply: oneshot::Sender<Reply>,
}

/// A connection to the holder. It ends when the last handle is dropped and every command is answered.
pub(super) struct Link {
    questions: mpsc::Sender<Question>,
    shared: Arc<Shared>,
    ended: watch::Receiver<bool>,
}

/// What the two directions of a connection share.
#[derive(Default)]
struct Shared {
    /// The commands that were sent, by number. None after the end.
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<Reply>>>>,
    /// Whether the other end takes no more commands.
    is_closing: AtomicBool,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<Reply>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// Connects to the holder.
    pub(super) async fn connect(place: &Place) -> io::Result<Self> {
        let upgraded = timeout(CONNECTING, upgrade(place)).await;
        let upgraded = upgraded.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let (reader, writer) = split(TokioIo::new(upgraded));
        let (questions, unsent) = mpsc::channel(UNSENT);
        let (end, ended) = watch::channel(false);
        let shared = Arc::new(Shared { waiting: Mutex::new(Some(HashMap::new())), ..Shared::default() });
        let writes = tokio::spawn(write(unsent, writer, Arc::clone(&shared)));
        let reads = Arc::clone(&shared);
        tokio::spawn(async move {
            if let Err(error) = read(reader, &reads, &end).await {
                tracing::warn!(%error, "the connection to the holder of the seat broke");
            }
            // Commands without an answer get none.
            reads.waiting().take();
            writes.abort();
            end.send_replace(true);
        });
        Ok(Self { questions, shared, ended })
    }

    /// Whether further commands may be sent.
    pub(super) fn is_open(&self) -> bool {
        !self.shared.is_closing.load(Ordering::Acquire) && !*self.ended.borrow()
    }

    /// Waits until no further command may be sent.
    pub(super) async fn ended(&self) {
        let mut ended = self.ended.clone();
        // An error means that the task has ended.
        while !*ended.borrow_and_update() && self.is_open() && ended.changed().await.is_ok() {}
    }

    /// Sends a command, and waits for its answer. None: it was sent and not answered.
    pub(super) async fn ask(&self, payload: Vec<u8>) -> Option<Reply> {
        let (reply, answer) = oneshot::channel();
        if self.questions.send(Question { payload, reply }).await.is_err() {
            return Some(Reply::NotSent);
        }
        answer.await.ok()
    }
}

/// Makes an HTTP connection that is upgraded.
async fn upgrade(place: &Place) -> io::Result<hyper::upgrade::Upgraded> {
    let stream = TcpStream::connect(&place.address).await?;
    stream.set_nodelay(true)?;
    let other = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| other(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "no connection to the holder of the seat");
        }
    });
    let request = Request::post(PATH)
        .header(header::HOST, &place.address)
        .header(header::AUTHORIZATION, format!("Bearer {}", place.secret))
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, PROTOCOL)
        .body(Body::empty())
        .map_err(|error| other(&error))?;
    let response = sender.send_request(request).await.map_err(|error| other(&error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(other(&format!("the holder of the seat answers {}", response.status())));
    }
    hyper::upgrade::on(response).await.map_err(|error| other(&error))
}

/// Sends commands, many in one write.
async fn write(
    mut unsent: mpsc::Receiver<Question>,
    mut writer: impl AsyncWrite + Unpin,
    shared: Arc<Shared>,
) -> io::Result<()> {
    let (mut questions, mut out, mut number) = (Vec::new(), Vec::new(), CONTROL);
    let mut asked = Instant::now();
    loop {
        let count = match timeout(PING_EVERY / 2, unsent.recv_many(&mut questions, WRITE)).await {
            // No handle is left. The other end answers what it has got.
            Ok(0) => return writer.shutdown().await,
            Ok(count) => count,
            Err(_) => 0,
        };
        for Question { payload, reply } in questions.drain(..count) {
            match &mut *shared.waiting() {
                Some(waiting) => {
                    number += 1;
                    put(&mut out, number, &payload);
                    waiting.insert(number, reply);
                }
                // The caller may have stopped waiting.
                None => drop(reply.send(Reply::NotSent)),
            }
        }
        if asked.elapsed() >= PING_EVERY {
            put(&mut out, CONTROL, ALIVE);
            asked = Instant::now();
        }
        writer.write_all(&out).await?;
        out.clear();
    }
}

/// Reads answers, until the other end is silent for too long.
async fn read(mut reader: impl AsyncRead + Unpin, shared: &Shared, end: &watch::Sender<bool>) -> io::Result<()> {
    let mut frames = Frames::default();
    loop {
        let heard = Instant::now();
        let more = timeout(SILENCE, frames.fill(&mut reader)).await;
        if !more.map_err(|_| io::Error::other(format!("it is silent for {:?}", heard.elapsed())))?? {
            return Ok(());
        }
        while let Some((number, payload)) = frames.next()? {
            if number != CONTROL {
                let reply = shared.waiting().as_mut().and_then(|waiting| waiting.remove(&number));
                // The caller may have stopped waiting.
                drop(reply.map(|reply| reply.send(Reply::Answer(payload))));
            } else if payload == CLOSING {
                shared.is_closing.store(true, Ordering::Release);
                // Wakes the one that waits for the end.
                end.send_replace(false);
            }
        }
    }
}
