//! Loading streams: they are read from the book and folded.

use std::{collections::BTreeMap, sync::Arc};

use daybook_codec::{SnapshotError, decode, decode_state, encode_state};
use daybook_domain::{State, StreamName};
use daybook_event_store::{FROM_THE_BEGINNING, LoadedStream, Snapshot, Store, StoreError};

use super::{Job, Runtime, UnreadableStream, bases::Base, cache::Entry, turns::Weighed};

/// A command that cannot be decided before streams are loaded.
pub(super) struct Waiting {
    pub(super) job: Job,
    /// The streams that its decision lacked. It fails if one of them cannot be read.
    pub(super) missing: Vec<StreamName>,
    /// The streams that it is known to read, and may never ask for.
    pub(super) others: Vec<StreamName>,
    /// Whether the missing streams were in conflict, and may be so again.
    pub(super) is_contended: bool,
}

impl Weighed for Waiting {
    fn bytes(&self) -> usize {
        self.job.bytes()
    }
}

impl Waiting {
    /// How many streams it has loaded.
    pub(super) const fn streams(&self) -> usize {
        self.missing.len() + self.others.len()
    }
}

/// Streams to load, each from its base if it has one.
pub(super) type Wanted = BTreeMap<StreamName, Option<Base>>;

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

/// Loads the streams that commands wait for.
pub(super) async fn load<B: Store, R: Runtime>(
    runtime: R,
    book: B,
    waiting: Vec<Waiting>,
    wanted: Wanted,
    snapshot_after: usize,
) -> Loaded {
    let streams = fold_all(&runtime, &book, wanted, snapshot_after).await.map_err(Arc::new);
    Loaded { waiting, streams }
}

/// Loads and folds streams. A stream whose fold took more than `snapshot_after` events gets a snapshot.
pub(super) async fn fold_all<B: Store, R: Runtime>(
    runtime: &R,
    book: &B,
    wanted: Wanted,
    snapshot_after: usize,
) -> Result<Folded, StoreError> {
    let (mut begun, mut names) = (Vec::new(), Vec::new());
    for (name, base) in wanted {
        match base {
            Some(base) => begun.push((name, base)),
            None => names.push(name.shared()),
        }
    }
    let mut folded = Folded::default();
    if !begun.is_empty() {
        go_on(runtime, book, begun, snapshot_after, &mut folded).await?;
    }
    if !names.is_empty() {
        from_snapshots(runtime, book, &names, snapshot_after, &mut folded).await?;
    }
    Ok(folded)
}

/// Loads what is new in streams since their bases.
async fn go_on<B: Store, R: Runtime>(
    runtime: &R,
    book: &B,
    begun: Vec<(StreamName, Base)>,
    snapshot_after: usize,
    folded: &mut Folded,
) -> Result<(), StoreError> {
    let after: Vec<_> = begun.iter().map(|(name, base)| (name.shared(), base.version)).collect();
    let mut bases: BTreeMap<StreamName, Base> = begun.into_iter().collect();
    for stream in book.load_after(&after).await? {
        let (name, events) = (StreamName::from(&*stream.stream_id), stream.events.len());
        let start = bases.remove(&name).map(|base| (base.state, base.version));
        folded.add(name, fold(start, stream), |name, entry| {
            if events > snapshot_after {
                keep_snapshot(runtime, book.clone(), name, entry);
            }
        });
    }
    Ok(())
}

async fn from_snapshots<B: Store, R: Runtime>(
    runtime: &R,
    book: &B,
    names: &[Arc<str>],
    snapshot_after: usize,
    folded: &mut Folded,
) -> Result<(), StoreError> {
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
    Ok(())
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
