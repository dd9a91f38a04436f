//! Loading streams: they are read from the book and folded.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use daybook_codec::{SnapshotError, decode, decode_state, encode_state};
use daybook_domain::{State, StreamName};
use daybook_event_store::{FROM_THE_BEGINNING, LoadedStream, Snapshot, Store, StoreError};

use super::{Job, Runtime, UnreadableStream, cache::Entry};

/// A command that cannot be decided before streams are loaded.
pub(super) struct Waiting {
    pub(super) job: Job,
    /// The streams that its decision lacked. It fails if one of them cannot be read.
    pub(super) missing: Vec<StreamName>,
    /// The streams that it is known to read, and may never ask for.
    pub(super) others: Vec<StreamName>,
}

/// The result of a load.
pub(super) struct Loaded {
    pub(super) waiting: Vec<Waiting>,
    pub(super) streams: Result<Folded, Arc<StoreError>>,
}

/// Loaded streams: those that were folded, and those with an event that this program cannot read.
#[derive(Default)]
pub(super) struct Folded {
    pub(super) entries: Vec<(StreamName, Entry)>,
    pub(super) unreadable: BTreeMap<StreamName, UnreadableStream>,
}

/// Loads the streams that commands wait for. A stream whose fold took more than `snapshot_after` events gets a snapshot.
pub(super) async fn load<B: Store, R: Runtime>(
    runtime: R,
    book: B,
    waiting: Vec<Waiting>,
    snapshot_after: usize,
) -> Loaded {
    let streams: BTreeSet<_> =
        waiting.iter().flat_map(|waiting| waiting.missing.iter().chain(&waiting.others)).collect();
    let names: Vec<Arc<str>> = streams.into_iter().map(StreamName::shared).collect();
    let streams = fold_all(&runtime, &book, &names, snapshot_after).await.map_err(Arc::new);
    Loaded { waiting, streams }
}

async fn fold_all<B: Store, R: Runtime>(
    runtime: &R,
    book: &B,
    names: &[Arc<str>],
    snapshot_after: usize,
) -> Result<Folded, StoreError> {
    let mut folded = Folded::default();
    let mut damaged = Vec::new();
    for stream in book.load_streams(names, State::FOLD_VERSION).await? {
        let (name, id) = (StreamName::from(&*stream.stream_id), Arc::clone(&stream.stream_id));
        let events = stream.events.len();
        match begin(&name, stream.snapshot.as_ref()) {
            Ok(start) => folded.add(name, fold(start, stream), |name, entry| {
                if events > snapshot_after {
                    keep_snapshot(runtime, book.clone(), name, entry);
                }
            }),
            Err(error) => {
                tracing::warn!(stream = %name, %error, "a snapshot is damaged; the stream is folded from its beginning");
                metrics::counter!("daybook_snapshots_damaged_total").increment(1);
                damaged.push(id);
            }
        }
    }
    if !damaged.is_empty() {
        for stream in book.load_streams(&damaged, FROM_THE_BEGINNING).await? {
            let name = StreamName::from(&*stream.stream_id);
            // The damaged snapshot has to be replaced, however few events the stream has.
            folded.add(name, fold(None, stream), |name, entry| keep_snapshot(runtime, book.clone(), name, entry));
        }
    }
    Ok(folded)
}

impl Folded {
    fn add(
        &mut self,
        name: StreamName,
        folded: Result<Entry, UnreadableStream>,
        keep: impl FnOnce(&StreamName, &Entry),
    ) {
        match folded {
            Ok(entry) => {
                keep(&name, &entry);
                self.entries.push((name, entry));
            }
            Err(error) => {
                tracing::error!(%error, "a stream cannot be read; commands that need it fail");
                metrics::counter!("daybook_streams_unreadable_total").increment(1);
                self.unreadable.insert(name, error);
            }
        }
    }
}

/// Where a fold begins: at the state of the snapshot, or, without one, at the empty state. A snapshot is only a cache, so the book is
/// intact even if the snapshot cannot be decoded.
fn begin(name: &StreamName, snapshot: Option<&Snapshot>) -> Result<Option<(State, i32)>, SnapshotError> {
    let Some(snapshot) = snapshot else { return Ok(None) };
    Ok(Some((decode_state(name, &snapshot.state)?, snapshot.version)))
}

fn fold(start: Option<(State, i32)>, stream: LoadedStream) -> Result<Entry, UnreadableStream> {
    let name = StreamName::from(&*stream.stream_id);
    let unreadable = |version, reason: String, is_newer| {
        let stream = name.clone();
        UnreadableStream { stream, version, reason, is_newer }
    };
    let begin = start.or_else(|| Some((State::empty(&name)?, 0)));
    let (mut state, mut version) = begin.ok_or_else(|| unreadable(0, "no slice has such a stream".to_owned(), true))?;
    for recorded in stream.events {
        let event = decode(&recorded.event_type, recorded.schema_version, recorded.data.as_bytes())
            .map_err(|error| unreadable(recorded.version, error.to_string(), error.is_newer()))?;
        state.evolve(&event, recorded.effective_at);
        version = recorded.version;
    }
    Ok(Entry::new(state, version))
}

/// Saves a snapshot of a stream in the background. All its events are committed, and a lost snapshot costs only time.
fn keep_snapshot(runtime: &impl Runtime, book: impl Store, name: &StreamName, entry: &Entry) {
    let Ok(state) = encode_state(&entry.state) else { return };
    let (name, snapshot) = (name.clone(), Snapshot { version: entry.version, state });
    drop(runtime.spawn(async move {
        if let Err(error) = book.save_snapshot(name.as_str(), State::FOLD_VERSION, &snapshot).await {
            tracing::warn!(%error, stream = %name, "a snapshot was not kept");
        }
    }));
}
