//! The record of what the clients saw: every call, each of its attempts and answers, and every read.
//!
//! Times are ticks of one counter and not of a clock. So an answer with a lower tick than the first attempt of another call surely came
//! before it.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// An event in a receipt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReceivedEvent {
    /// Its position in the book.
    pub position: i64,
    /// Its stream.
    pub stream: String,
    /// Its version in the stream.
    pub version: i32,
    /// The name of its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Its id.
    pub event_id: Uuid,
    /// Its data.
    pub data: Value,
}

/// A stream in a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedStream {
    /// The stream.
    pub id: String,
    /// Its version after the command.
    pub version: i32,
}

/// The answer to an accepted command.
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
    /// The command is in the book, and its last event has this position. A mutation returns only that.
    Shown(i64),
    /// A rule refused the command.
    Refused {
        /// The stable code.
        code: String,
        /// The sentence, with the data of the refusal.
        detail: String,
    },
    /// The attempt has no answer, or one that leaves the outcome open.
    Unknown(String),
}

impl Answer {
    /// The position in it, if the command was accepted.
    #[must_use]
    pub const fn position(&self) -> Option<i64> {
        match self {
            Self::Accepted(receipt) => Some(receipt.position),
            Self::Shown(position) => Some(*position),
            Self::Refused { .. } | Self::Unknown(_) => None,
        }
    }
}

/// The API that got the attempt.
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
    /// The API that got the attempt.
    pub via: Via,
    /// Whether its token had expired, by the clock of the machine.
    pub expired: bool,
    /// The answer.
    pub answer: Answer,
}

/// A command with all its attempts.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// Its id.
    pub key: Uuid,
    /// Its name.
    pub name: &'static str,
    /// Its body.
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

    /// Whether an attempt before this tick may still be running.
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

/// The result of a query that had to show a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Seen {
    /// The stock of a SKU: on hand, and reserved.
    Stock {
        /// The SKU.
        sku: String,
        /// Both figures, or none without a row.
        levels: Option<(i64, i64)>,
    },
    /// The phase of an order.
    Order {
        /// The order.
        id: Uuid,
        /// Its phase in GraphQL, or none if the order does not exist.
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
    /// Its result.
    pub seen: Seen,
}

/// The whole history.
#[derive(Debug, Default)]
pub struct History {
    ticks: AtomicU64,
    acknowledged: AtomicU64,
    calls: Mutex<Vec<Call>>,
    reads: Mutex<Vec<Read>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // A task that panicked has pushed complete entries or none.
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

    /// Adds a call after its last attempt.
    pub fn call(&self, call: Call) {
        self.acknowledged.fetch_add(u64::from(call.acknowledged().is_some()), Ordering::SeqCst);
        lock(&self.calls).push(call);
    }

    /// Adds a read.
    pub fn read(&self, read: Read) {
        lock(&self.reads).push(read);
    }

    /// All calls in the order of their first attempts, and all reads.
    #[must_use]
    pub fn taken(&self) -> (Vec<Call>, Vec<Read>) {
        let mut calls = std::mem::take(&mut *lock(&self.calls));
        calls.sort_by_key(Call::sent);
        (calls, std::mem::take(&mut *lock(&self.reads)))
    }
}
