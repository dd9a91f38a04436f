//! A connection that does not wait for ever: neither for a head that comes byte by byte, nor for somebody who does not read.
//!
//! hyper limits the time from the end of one request to the head of the next, as one. Here the silence and the head are told
//! apart: a connection may be kept for a minute, but who has begun to speak has to come to an end.

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

use super::{EdgeLimits, body::Ending, connections::Place};

/// Whose turn it is on a connection: the client's, who sends the head of a request, or ours. A connection that has become a
/// WebSocket stays ours.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<State>);

#[derive(Default)]
struct State {
    ours: AtomicBool,
    taken: AtomicU64,
}

impl Turns {
    /// A head is complete: it is our turn until the answer is.
    pub(super) fn take(&self) -> Turn {
        self.0.ours.store(true, Ordering::Release);
        self.0.taken.fetch_add(1, Ordering::AcqRel);
        Turn { state: Arc::clone(&self.0), for_good: false }
    }
}

/// Our turn, until dropped.
pub(super) struct Turn {
    state: Arc<State>,
    for_good: bool,
}

impl Turn {
    /// The connection is no connection of HTTP any more.
    pub(super) const fn for_good(mut self) -> Self {
        self.for_good = true;
        self
    }

    /// An answer with whose end our turn ends.
    pub(super) fn until_the_end_of(self, body: Body) -> Ending<Body, impl FnOnce() + Unpin + Send + 'static> {
        Ending::new(body, move || drop(self))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.for_good {
            self.state.ours.store(false, Ordering::Release);
        }
    }
}

/// A head that has begun.
struct Head {
    /// Which one of the connection's, from 0.
    nr: u64,
    /// The end of its time. Most heads come in one piece and need none: it is set when the rest has to be waited for.
    end: Option<Pin<Box<Sleep>>>,
}

/// A connection with its limits, and its place among the others.
pub(super) struct Guarded {
    stream: TcpStream,
    turns: Turns,
    /// The head that has begun.
    head: Option<Head>,
    /// The end of the time for somebody who reads nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    head_time: Duration,
    stall_time: Duration,
    _place: Place,
}

impl Guarded {
    /// A new connection: it has begun to speak by coming.
    pub(super) fn new(stream: TcpStream, turns: Turns, limits: &EdgeLimits, place: Place) -> Self {
        let head = Some(Head { nr: 0, end: None });
        Self { stream, turns, head, stalled: None, head_time: limits.head, stall_time: limits.stall, _place: place }
    }

    /// Whether the head that has begun takes too long, where more of it has to be `waited` for.
    fn head_is_late(&mut self, context: &mut Context<'_>, spoken: bool, waited: bool) -> bool {
        let State { ours, taken } = &*self.turns.0;
        if ours.load(Ordering::Acquire) {
            self.head = None;
            return false;
        }
        let nr = taken.load(Ordering::Acquire);
        // What was left of the time for an earlier head is not for this one.
        if self.head.as_ref().is_none_or(|head| head.nr != nr) {
            self.head = spoken.then_some(Head { nr, end: None });
        }
        let time = self.head_time;
        self.head.as_mut().is_some_and(|Head { end, .. }| {
            waited && end.get_or_insert_with(|| Box::pin(sleep(time))).as_mut().poll(context).is_ready()
        })
    }

    /// What became of writing, unless nothing of it was read for too long.
    fn unless_stalled<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let time = self.stall_time;
        let end = self.stalled.get_or_insert_with(|| Box::pin(sleep(time)));
        end.as_mut().poll(context).map(|()| Err(late("what was sent is not read")))
    }
}

fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let spoken = buffer.filled().len() > before;
        if self.head_is_late(context, spoken, read.is_pending()) {
            return Poll::Ready(Err(late("the head takes too long")));
        }
        read
    }
}

impl AsyncWrite for Guarded {
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
