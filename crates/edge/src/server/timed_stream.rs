//! A connection with time limits for reading the head of a request and for writing.
//!
//! hyper has one limit for the time from the end of a request to the end of the next head. This stream separates the two parts. A
//! connection may be silent for a minute, but a head that has begun must be complete within seconds.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::{ConnectionLimits, body::EndReportingBody, connections::ConnectionPermit};

/// The phase of a connection: the client sends the head of a request, or the server answers. A WebSocket stays in the phase of
/// answering.
#[derive(Clone, Default)]
pub(super) struct RequestPhase(Arc<State>);

#[derive(Default)]
struct State {
    answering: AtomicBool,
    heads: AtomicU64,
}

impl RequestPhase {
    /// Begins to answer, since a head is complete.
    pub(super) fn begin_answer(&self) -> Answering {
        self.0.answering.store(true, Ordering::Release);
        self.0.heads.fetch_add(1, Ordering::AcqRel);
        Answering { state: Arc::clone(&self.0), permanent: false }
    }
}

/// The phase of answering. It ends when this is dropped.
pub(super) struct Answering {
    state: Arc<State>,
    permanent: bool,
}

impl Answering {
    /// The connection has left HTTP, so no head follows.
    pub(super) const fn permanent(mut self) -> Self {
        self.permanent = true;
        self
    }

    /// Ends with the last frame of the answer's body.
    pub(super) fn until_body_ends(self, body: Body) -> EndReportingBody<Body, impl FnOnce() + Unpin + Send + 'static> {
        EndReportingBody::new(body, move || drop(self))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if !self.permanent {
            self.state.answering.store(false, Ordering::Release);
        }
    }
}

/// A head that has begun.
struct Head {
    /// Its number on the connection, from 0.
    number: u64,
    /// The end of its time. Most heads come in one piece, so the timer is made when the rest has to be awaited.
    end: Option<Pin<Box<Sleep>>>,
}

/// A connection with its time limits and its permit.
pub(super) struct TimedStream {
    stream: TcpStream,
    phase: RequestPhase,
    /// The head that has begun.
    head: Option<Head>,
    /// The end of the time for a client that reads nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    head_timeout: Duration,
    stall_timeout: Duration,
    _permit: ConnectionPermit,
}

impl TimedStream {
    /// A new connection. The time for its first head begins at once.
    pub(super) fn new(
        stream: TcpStream,
        phase: RequestPhase,
        limits: &ConnectionLimits,
        permit: ConnectionPermit,
    ) -> Self {
        Self {
            stream,
            phase,
            head: Some(Head { number: 0, end: None }),
            stalled: None,
            head_timeout: limits.head_timeout,
            stall_timeout: limits.stall_timeout,
            _permit: permit,
        }
    }

    /// Whether the head that has begun takes too long. `received` says that bytes have come; `pending`, that more are awaited.
    fn head_is_late(&mut self, context: &mut Context<'_>, received: bool, pending: bool) -> bool {
        let State { answering, heads } = &*self.phase.0;
        if answering.load(Ordering::Acquire) {
            self.head = None;
            return false;
        }
        let number = heads.load(Ordering::Acquire);
        // Each head has a time of its own.
        if self.head.as_ref().is_none_or(|head| head.number != number) {
            self.head = received.then_some(Head { number, end: None });
        }
        let time = self.head_timeout;
        self.head.as_mut().is_some_and(|Head { end, .. }| {
            pending && end.get_or_insert_with(|| Box::pin(sleep(time))).as_mut().poll(context).is_ready()
        })
    }

    /// The result of a write, or an error when the client has read nothing for too long.
    fn unless_stalled<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let time = self.stall_timeout;
        let end = self.stalled.get_or_insert_with(|| Box::pin(sleep(time)));
        std::task::ready!(end.as_mut().poll(context));
        // The system would keep megabytes for minutes, and offer them again and again. Reset, it forgets them.
        Poll::Ready(Err(match self.stream.set_zero_linger() {
            Ok(()) => late("the client does not read"),
            Err(error) => error,
        }))
    }
}

fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl AsyncRead for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let received = buffer.filled().len() > before;
        if self.head_is_late(context, received, read.is_pending()) {
            return Poll::Ready(Err(late("the head takes too long")));
        }
        read
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.unless_stalled(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.unless_stalled(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
