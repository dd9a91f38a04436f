//! What the clients saw: every call, every attempt at it, every answer, and what was read.
//!
//! Times are ticks of one counter, and not of a clock: an answer with a lower tick than another call's first attempt came before it
//! for sure.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// An event, as a receipt tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReceivedEvent {
    /// Its place in the book.
    pub position: i64,
    /// Its stream.
    pub stream: String,
    /// Its place in the stream.
    pub version: i32,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Its identity.
    pub event_id: Uuid,
    /// What happened, in full.
    pub data: Value,
}

/// A stream, as a receipt tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedStream {
    /// The stream.
    pub id: String,
    /// The version that it has come to.
    pub version: i32,
}

/// The answer to a command that was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The position of its last event.
    pub position: i64,
    /// The streams that were written.
    pub streams: Vec<ReceivedStream>,
    /// The events that were written.
    pub events: Vec<ReceivedEvent>,
    /// Whether it is the outcome of an earlier attempt.
    pub replayed: bool,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Answer {
    /// The command is in the book.
    Accepted(Receipt),
    /// The command is in the book, up to this position: what a mutation tells.
    Shown(i64),
    /// A rule said no.
    Refused {
        /// The stable code.
        code: String,
        /// The sentence, with what the rule looked at.
        detail: String,
    },
    /// There was none, or one that leaves it open.
    Unknown(String),
}

impl Answer {
    /// The position that it tells, if the command was accepted.
    #[must_use]
    pub const fn position(&self) -> Option<i64> {
        match self {
            Self::Accepted(receipt) => Some(receipt.position),
            Self::Shown(position) => Some(*position),
            Self::Refused { .. } | Self::Unknown(_) => None,
        }
    }
}

/// Who was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Via {
    /// One of the command-apis.
    Command(usize),
    /// The query-api, by a mutation.
    Mutation,
}

/// One sending of a command.
#[derive(Debug, Clone, Serialize)]
pub struct Attempt {
    /// When it was sent, in ticks.
    pub sent: u64,
    /// When it was sent, by the clock of the machine.
    pub at: DateTime<Utc>,
    /// When it was answered, in ticks.
    pub answered: u64,
    /// When it was answered, by the clock of the machine.
    pub until: DateTime<Utc>,
    /// Who was asked.
    pub via: Via,
    /// Whether the token that was shown had run out, by the clock of the machine.
    pub expired: bool,
    /// What it said.
    pub answer: Answer,
}

/// A command, with all that was tried for it.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// Its identity.
    pub key: Uuid,
    /// Its name.
    pub name: &'static str,
    /// What was asked for.
    pub body: Value,
    /// The attempts, in their order.
    pub attempts: Vec<Attempt>,
}

impl Call {
    /// The receipt of the first attempt that was accepted.
    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        self.receipts().next()
    }

    /// The receipts of every attempt that was accepted.
    pub fn receipts(&self) -> impl Iterator<Item = &Receipt> {
        self.attempts.iter().filter_map(|attempt| match &attempt.answer {
            Answer::Accepted(receipt) => Some(receipt),
            _ => None,
        })
    }

    /// The position of its last event, by the first attempt that was accepted.
    #[must_use]
    pub fn acknowledged(&self) -> Option<i64> {
        self.attempts.iter().find_map(|attempt| attempt.answer.position())
    }

    /// The attempt that was refused.
    #[must_use]
    pub fn refused(&self) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| matches!(attempt.answer, Answer::Refused { .. }))
    }

    /// Whether an attempt before this tick may still be under way.
    #[must_use]
    pub fn is_open_before(&self, tick: u64) -> bool {
        self.attempts.iter().any(|attempt| attempt.sent < tick && matches!(attempt.answer, Answer::Unknown(_)))
    }

    /// When it was first sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.attempts.first().map_or(u64::MAX, |attempt| attempt.sent)
    }
}

/// What a query that had to show a position has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Seen {
    /// How much of a SKU there is: on hand, and reserved.
    Stock {
        /// The SKU.
        sku: String,
        /// Both figures; none where there is no row.
        levels: Option<(i64, i64)>,
    },
    /// How far an order is.
    Order {
        /// The order.
        id: Uuid,
        /// Its phase, as GraphQL writes it; none where there is no such order.
        phase: Option<String>,
    },
}

/// A query that was answered.
#[derive(Debug, Clone, Serialize)]
pub struct Read {
    /// The position that it had to show.
    pub min_position: i64,
    /// When it was answered, in ticks.
    pub answered: u64,
    /// What it has shown.
    pub seen: Seen,
}

/// All of it.
#[derive(Debug, Default)]
pub struct History {
    ticks: AtomicU64,
    acknowledged: AtomicU64,
    calls: Mutex<Vec<Call>>,
    reads: Mutex<Vec<Read>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked meanwhile has pushed whole records or none.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl History {
    /// The next tick.
    pub fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }

    /// How many calls were acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Takes a call in that nobody tries any more.
    pub fn call(&self, call: Call) {
        self.acknowledged.fetch_add(u64::from(call.acknowledged().is_some()), Ordering::SeqCst);
        lock(&self.calls).push(call);
    }

    /// Takes in what was read.
    pub fn read(&self, read: Read) {
        lock(&self.reads).push(read);
    }

    /// Everything, in the order in which it was first sent.
    #[must_use]
    pub fn taken(&self) -> (Vec<Call>, Vec<Read>) {
        let mut calls = std::mem::take(&mut *lock(&self.calls));
        calls.sort_by_key(Call::sent);
        (calls, std::mem::take(&mut *lock(&self.reads)))
    }
}
