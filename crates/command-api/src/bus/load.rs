//! Loading streams: reads them from the book and folds them.

use std::{collections::BTreeSet, sync::Arc};

use daybook_domain::{Event, State, StreamName};
use daybook_event_store::{LoadedStream, Snapshot, Store};

use super::{CommandError, Host, Job, cache::Entry};

/// The fold version, as the store has it.
#[expect(clippy::cast_possible_wrap, reason = "a small constant")]
const FOLD_VERSION: i16 = State::FOLD_VERSION as i16;

/// Commands that wait for streams, which are loaded together.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) streams: BTreeSet<StreamName>,
    pub(super) jobs: Vec<Job>,
}

/// What came of it.
pub(super) struct Loaded {
    pub(super) jobs: Vec<Job>,
    pub(super) streams: Result<Vec<(StreamName, Entry)>, CommandError>,
}

/// Loads all that is wanted. Long streams get snapshots.
pub(super) async fn load<B: Store, H: Host>(host: H, book: B, wanted: Wanted, snapshot_after: usize) -> Loaded {
    let names: Vec<Arc<str>> = wanted.streams.iter().map(|stream| Arc::from(stream.as_str())).collect();
    let streams = match book.load_streams(&names, FOLD_VERSION).await {
        Ok(streams) => fold_all(streams, |folded, name, entry| {
            if folded > snapshot_after {
                keep_snapshot(&host, book.clone(), name, entry);
            }
        }),
        Err(error) => Err(CommandError::Failed(Arc::new(error))),
    };
    Loaded { jobs: wanted.jobs, streams }
}

/// Folds streams, and tells of each how many events that took.
fn fold_all(
    streams: Vec<LoadedStream>,
    tell: impl Fn(usize, &StreamName, &Entry),
) -> Result<Vec<(StreamName, Entry)>, CommandError> {
    streams
        .into_iter()
        .map(|stream| {
            let name = StreamName::from(&*stream.stream_id);
            let folded = stream.events.len();
            let entry = fold(&name, stream)?;
            tell(folded, &name, &entry);
            Ok((name, entry))
        })
        .collect()
}

fn fold(name: &StreamName, stream: LoadedStream) -> Result<Entry, CommandError> {
    let (mut state, mut version) = match stream.snapshot {
        Some(snapshot) => {
            let state = serde_json::from_str(&snapshot.state);
            (state.map_err(|error| unreadable(name, snapshot.version, &error))?, snapshot.version)
        }
        None => (State::empty(name).ok_or_else(|| unreadable(name, 0, &"no slice has such a stream"))?, 0),
    };
    for recorded in stream.events {
        let schema_version = u16::try_from(recorded.schema_version).unwrap_or(0);
        let event = Event::decode(&recorded.event_type, schema_version, recorded.data.as_bytes())
            .map_err(|error| unreadable(name, recorded.version, &error))?;
        state.evolve(&event, recorded.effective_at);
        version = recorded.version;
    }
    Ok(Entry::new(state, version))
}

fn unreadable(stream: &StreamName, version: i32, error: &dyn std::fmt::Display) -> CommandError {
    CommandError::Unreadable(format!("{stream} at version {version}: {error}"))
}

/// Keeps what was just folded, in the background: it is known to be committed, and losing it costs only time.
fn keep_snapshot(host: &impl Host, book: impl Store, name: &StreamName, entry: &Entry) {
    let Ok(state) = serde_json::to_string(&entry.state) else { return };
    let (name, snapshot) = (name.clone(), Snapshot { version: entry.version, state });
    drop(host.spawn(async move {
        if let Err(error) = book.save_snapshot(name.as_str(), FOLD_VERSION, &snapshot).await {
            tracing::warn!(%error, stream = %name, "a snapshot was not kept");
        }
    }));
}
