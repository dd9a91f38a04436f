//! Folding the book into tables that no query sees yet, as fast as the machine can: one task reads and decodes events, one folds
//! them into rows in memory, one writes the rows.
//!
//! What is in memory is bounded: a few batches between the reader and the fold, the rows that so many bytes of events have gone into, and a few
//! chunks of rows between the fold and the writer.

use std::{collections::HashMap, sync::Arc};

use daybook_event_store::{Daybook, RecordedEvent};
use daybook_event_stream::consumer::parked::{self, ParkedEvent};
use futures::{TryStreamExt, pin_mut};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{
    super::{
        projection::Projection,
        recorded::{Recorded, Unreadable},
        store::{
            Store,
            bulk_load::BulkLoad,
            indexes::Indexes,
            writer::{Writer, WriterHandle},
        },
    },
    Progress,
};
use crate::ViewError;

/// How many positions are read by one statement: a long snapshot keeps the database from cleaning up behind
/// writers.
const SPAN: i64 = 5_000;
/// How many bytes of events are one batch, at most and but for the last event of it.
const BATCH: usize = 4 << 20;
/// How many batches may wait to be folded.
const WAITING: usize = 2;
/// What an event counts beside its JSON.
const EVENT: usize = 256;
/// How many positions are few enough to leave them to the swap.
const FEW: i64 = 5_000;
/// How often it is caught up with what is written meanwhile, at most.
const ROUNDS: usize = 5;

/// Loads the book into the empty tables of a version. Returns how far.
pub(super) async fn load(
    book: &Daybook,
    next: &Projection,
    max_bytes: usize,
    progress: Progress<'_>,
) -> Result<i64, ViewError> {
    let writer = Writer::start(book.connect().await?);
    let loaded = fold_all(book, next, max_bytes, writer.handle(), progress).await;
    // What the writer says comes first: the others notice only that it is gone.
    writer.stop().await?;
    loaded
}

async fn fold_all(
    book: &Daybook,
    next: &Projection,
    max_bytes: usize,
    writer: WriterHandle,
    progress: Progress<'_>,
) -> Result<i64, ViewError> {
    let reader = book.connect().await?;
    let indexes = Indexes::take_away(&reader, &next.schema).await?;
    let bulk_load = BulkLoad::new(next.schema.clone(), reader, writer, indexes);
    let mut loading = Loading { book, next, bulk_load, poisoned: HashMap::new(), max_bytes, buffered: 0, done: 0 };
    for round in 0..ROUNDS {
        let head = book.head().await?.position;
        if round > 0 && head - loading.done <= FEW {
            break;
        }
        loading.up_to(head, progress).await?;
        loading.bulk_load.flush().await?;
        if round == 0 {
            loading.bulk_load.make_indexes().await?;
        }
    }
    Ok(loading.done)
}

/// A load under way.
struct Loading<'l> {
    book: &'l Daybook,
    next: &'l Projection,
    bulk_load: BulkLoad,
    /// The streams that are parked or wait, and whether each waits.
    poisoned: HashMap<String, bool>,
    /// How many bytes of events may go into the rows that are buffered.
    max_bytes: usize,
    /// How many have since the last flush.
    buffered: usize,
    /// Everything up to this position is folded.
    done: i64,
}

impl Loading<'_> {
    /// Folds everything up to a position.
    async fn up_to(&mut self, head: i64, progress: Progress<'_>) -> Result<(), ViewError> {
        let (send, mut batches) = mpsc::channel(WAITING);
        let reading = Reading {
            book: self.book.clone(),
            prefixes: self.next.view.stream_prefixes(),
            consumer: self.next.schema.clone(),
            poisoned: std::mem::take(&mut self.poisoned),
            batches: send,
        };
        let reading = AbortOnDropHandle::new(tokio::spawn(reading.read(self.done, head)));
        while let Some(batch) = batches.recv().await {
            self.process(&batch).await?;
            self.done = batch.up_to;
            progress(self.done, head);
        }
        self.poisoned = reading.await??;
        Ok(())
    }

    async fn process(&mut self, batch: &Batch) -> Result<(), ViewError> {
        if !batch.parked.is_empty() {
            let client = self.book.pool().get().await?;
            parked::park(&client, &self.next.schema, &batch.parked).await?;
        }
        (self.next.view.project)(&Store::bulk_load(&self.bulk_load), &batch.events).await?;
        self.buffered += batch.bytes;
        if self.buffered >= self.max_bytes {
            self.bulk_load.flush().await?;
            self.buffered = 0;
        }
        Ok(())
    }
}

/// Events that are folded at once.
#[derive(Debug, Default)]
struct Batch {
    events: Vec<Recorded>,
    /// Those that are parked instead.
    parked: Vec<ParkedEvent>,
    /// The bytes of its events.
    bytes: usize,
    /// Everything up to this position is in it or in one before.
    up_to: i64,
}

/// Reads the book and decodes its events.
struct Reading {
    book: Daybook,
    /// The prefixes of the streams that are wanted.
    prefixes: Vec<&'static str>,
    consumer: String,
    poisoned: HashMap<String, bool>,
    batches: mpsc::Sender<Batch>,
}

impl Reading {
    /// Reads up to a position. Returns the streams that are parked or wait.
    async fn read(mut self, after: i64, head: i64) -> Result<HashMap<String, bool>, ViewError> {
        let mut done = after;
        while done < head {
            let up_to = head.min(done + SPAN);
            let events = self.book.scan_streams(done, up_to, &self.prefixes).await?;
            pin_mut!(events);
            let mut batch = Batch::default();
            while let Some(event) = events.try_next().await? {
                self.take(&mut batch, event);
                if batch.bytes >= BATCH {
                    self.hand_over(&mut batch).await;
                }
            }
            (batch.up_to, done) = (up_to, up_to);
            self.hand_over(&mut batch).await;
            if self.batches.is_closed() {
                break;
            }
        }
        Ok(self.poisoned)
    }

    async fn hand_over(&self, batch: &mut Batch) {
        if self.batches.send(std::mem::take(batch)).await.is_err() {
            tracing::debug!("the fold has ended");
        }
    }

    /// Adds an event to a batch. It is parked where it, or an earlier event of its stream, cannot be decoded.
    fn take(&mut self, batch: &mut Batch, event: RecordedEvent) {
        batch.up_to = event.position;
        batch.bytes += event.data.len() + EVENT;
        let (position, stream_id) = (event.position, event.stream_id.clone());
        let (reason, waiting) = if let Some(waiting) = self.poisoned.get(&event.stream_id) {
            (parked::BEHIND.to_owned(), *waiting)
        } else {
            match Recorded::decode(Arc::new(event)) {
                Ok(event) => {
                    batch.events.push(event);
                    return;
                }
                Err(Unreadable { reason, is_newer }) => {
                    let consumer = &self.consumer;
                    if is_newer {
                        tracing::warn!(
                            consumer,
                            stream = stream_id,
                            position,
                            reason,
                            "a stream waits for a newer program"
                        );
                    } else {
                        tracing::error!(consumer, stream = stream_id, position, reason, "a stream is parked");
                    }
                    self.poisoned.insert(stream_id.clone(), is_newer);
                    (reason, is_newer)
                }
            }
        };
        batch.parked.push(ParkedEvent { consumer: self.consumer.clone(), position, stream_id, reason, waiting });
    }
}
