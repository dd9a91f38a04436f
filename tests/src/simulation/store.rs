//! The book in memory. It implements the same contract as the PostgreSQL store.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use daybook_bus::Runtime;
use daybook_event_store::{
    AppendUnit, Appender, Filter, KnownCommand, LoadedStream, RecordedEvent, Session, Snapshot, Store, StoreError,
    Writing, Written,
};
use uuid::Uuid;

use super::server::Server;

/// The tables of the book.
#[derive(Default)]
pub struct Tables {
    events: Vec<RecordedEvent>,
    /// By stream and version: the index in `events`.
    streams: HashMap<Arc<str>, BTreeMap<i32, usize>>,
    /// By id and scope.
    commands: BTreeMap<(Uuid, String), KnownCommand>,
    snapshots: HashMap<Arc<str>, (i16, Snapshot)>,
    recorded_at: DateTime<Utc>,
    /// How many sessions there were.
    sessions: u64,
    /// The session that has locked the head, and until when.
    locked: Option<(u64, DateTime<Utc>)>,
    /// How many batches were written under the lock.
    written_locked: u64,
}

/// How long a session waits before it asks again for a locked head.
const WAIT: Duration = Duration::from_micros(300);
/// How long a session may lock the head before it is ended, in milliseconds.
const LOCK_MILLIS: i64 = 20;

impl Tables {
    /// The events, by position.
    #[must_use]
    pub fn events(&self) -> &[RecordedEvent] {
        &self.events
    }

    /// The log of commands.
    #[must_use]
    pub const fn commands(&self) -> &BTreeMap<(Uuid, String), KnownCommand> {
        &self.commands
    }

    fn version(&self, stream: &str) -> i32 {
        self.streams.get(stream).and_then(|versions| versions.last_key_value()).map_or(0, |(version, _)| *version)
    }

    /// How many batches were written under the lock of the head.
    #[must_use]
    pub const fn written_locked(&self) -> u64 {
        self.written_locked
    }

    /// Whether a session may write: no other one has locked the head.
    fn may_write(&self, session: u64, now: DateTime<Utc>) -> bool {
        self.locked.is_none_or(|(by, until)| by == session || until < now)
    }

    /// Whether a session has the lock still.
    fn has_lock(&self, session: u64, now: DateTime<Utc>) -> bool {
        self.locked.is_some_and(|(by, until)| by == session && until >= now)
    }

    /// Does the same as the SQL function `append_batch` (`crates/event-store/migrations`).
    fn write(&mut self, now: DateTime<Utc>, writing: &OwnedWriting) -> Written {
        let actual: Vec<i32> = writing.streams.iter().map(|(stream, _)| self.version(stream)).collect();
        let known = writing.commands.iter().filter(|command| self.commands.contains_key(command));
        let duplicates: Vec<Uuid> = known.map(|(id, _)| *id).collect();
        if !duplicates.is_empty() || !actual.iter().eq(writing.streams.iter().map(|(_, version)| version)) {
            return Written::Refused { actual, duplicates };
        }
        if writing.units.iter().any(|unit| self.violates_unique_key(unit)) {
            return Written::UniqueViolation;
        }
        let first_position = self.next_position();
        self.recorded_at = self.recorded_at.max(now);
        for unit in &writing.units {
            self.add(unit);
        }
        Written::Committed { first_position, recorded_at: self.recorded_at }
    }

    fn next_position(&self) -> i64 {
        i64::try_from(self.events.len()).unwrap_or(i64::MAX) + 1
    }

    /// Whether a unit violates a unique key.
    fn violates_unique_key(&self, unit: &AppendUnit) -> bool {
        let taken = |stream: &Arc<str>, version| {
            self.streams.get(stream).is_some_and(|versions| versions.contains_key(version))
        };
        self.commands.contains_key(&(unit.command_id, unit.scope.clone()))
            || unit.events.iter().zip(&unit.versions()).any(|(event, version)| taken(&event.stream_id, version))
    }

    fn add(&mut self, unit: &AppendUnit) {
        let (command_id, scope, fingerprint) = (unit.command_id, unit.scope.clone(), unit.fingerprint.clone());
        let events = i32::try_from(unit.events.len()).unwrap_or(i32::MAX);
        let first_position = self.next_position();
        let known = KnownCommand { command_id, scope: scope.clone(), fingerprint, first_position, events };
        self.commands.insert((command_id, scope), known);
        for (event, version) in unit.events.iter().zip(unit.versions()) {
            let position = self.next_position();
            self.streams.entry(Arc::clone(&event.stream_id)).or_default().insert(version, self.events.len());
            self.events.push(RecordedEvent {
                position,
                stream_id: event.stream_id.to_string(),
                version,
                event_type: event.event_type.to_string(),
                schema_version: event.schema_version,
                event_id: event.event_id,
                recorded_at: self.recorded_at,
                effective_at: event.effective_at.unwrap_or(self.recorded_at),
                correlation_id: unit.correlation_id,
                causation_id: unit.causation_id,
                actor: unit.actor.clone(),
                trace: unit.trace.clone(),
                key_id: event.key_id,
                data: event.data.clone(),
            });
        }
    }

    fn events_after(&self, stream: &str, version: i32) -> Vec<RecordedEvent> {
        let Some(versions) = self.streams.get(stream) else { return Vec::new() };
        versions.range(version + 1..).map(|(_, index)| self.events[*index].clone()).collect()
    }

    fn save_snapshot(&mut self, stream: Arc<str>, fold_version: i16, snapshot: Snapshot) {
        let newer = self
            .snapshots
            .get(&stream)
            .is_none_or(|(fold, old)| (*fold, old.version) <= (fold_version, snapshot.version));
        if newer {
            self.snapshots.insert(stream, (fold_version, snapshot));
        }
    }
}

/// A [`Writing`] that owns its data, on its way to the database.
struct OwnedWriting {
    streams: Vec<(Arc<str>, i32)>,
    commands: Vec<(Uuid, String)>,
    units: Vec<AppendUnit>,
}

/// The book in memory, as one process sees it.
pub type MemoryBook = Server<Tables>;

impl Store for MemoryBook {
    type Session = MemorySession;

    async fn appender(&self) -> Result<Appender<MemorySession>, StoreError> {
        let number = |tables: &mut Tables, _| {
            tables.sessions += 1;
            tables.sessions
        };
        let session = self.ask("connect", number).await?;
        Ok(Appender::over(MemorySession { book: self.clone(), session, is_locked: false }))
    }

    async fn load_streams(&self, streams: &[Arc<str>], fold_version: i16) -> Result<Vec<LoadedStream>, StoreError> {
        let streams = streams.to_vec();
        // These are two statements, as in PostgreSQL. Another transaction may commit between them.
        let snapshots = self.ask("load snapshots", move |tables, _| {
            let of = |stream: Arc<str>| {
                let saved = tables.snapshots.get(&stream).filter(|(fold, _)| *fold == fold_version);
                let snapshot = saved.map(|(_, snapshot)| snapshot.clone());
                LoadedStream { stream_id: stream, snapshot, events: Vec::new() }
            };
            streams.into_iter().map(of).collect::<Vec<_>>()
        });
        let mut loaded = snapshots.await?;
        self.ask("load events", move |tables, _| {
            for stream in &mut loaded {
                let after = stream.snapshot.as_ref().map_or(0, |snapshot| snapshot.version);
                stream.events = tables.events_after(&stream.stream_id, after);
            }
            loaded
        })
        .await
    }

    async fn load_after(&self, streams: &[(Arc<str>, i32)]) -> Result<Vec<LoadedStream>, StoreError> {
        let streams = streams.to_vec();
        let load = move |tables: &mut Tables, _| {
            let after = |(stream_id, version): &(Arc<str>, i32)| {
                let events = tables.events_after(stream_id, *version);
                LoadedStream { stream_id: Arc::clone(stream_id), snapshot: None, events }
            };
            streams.iter().map(after).collect()
        };
        self.ask("load new events", load).await
    }

    async fn save_snapshot(&self, stream: &str, fold_version: i16, snapshot: &Snapshot) -> Result<(), StoreError> {
        let (stream, snapshot) = (Arc::from(stream), snapshot.clone());
        self.ask("save a snapshot", move |tables, _| tables.save_snapshot(stream, fold_version, snapshot)).await
    }

    async fn read_after(&self, after: i64, limit: usize, filter: &Filter) -> Result<Vec<RecordedEvent>, StoreError> {
        let filter = filter.clone();
        let read = move |tables: &mut Tables, _| {
            let matches = |event: &&RecordedEvent| {
                filter.types.as_ref().is_none_or(|types| types.contains(&event.event_type))
                    && filter.stream.as_ref().is_none_or(|stream| *stream == event.stream_id)
            };
            let after = usize::try_from(after.max(0)).unwrap_or(usize::MAX);
            tables.events.iter().skip(after).filter(matches).take(limit).cloned().collect()
        };
        self.ask("read", read).await
    }
}

/// A connection to the book.
pub struct MemorySession {
    book: MemoryBook,
    /// Its number.
    session: u64,
    /// Whether it has locked the head.
    is_locked: bool,
}

/// What becomes of a request while the head may be locked.
enum Access<T> {
    /// It was executed.
    Done(T),
    /// Another session has locked the head.
    Wait,
    /// The session has lost its lock, and was ended.
    Ended,
}

impl MemorySession {
    /// Executes a request that needs the head, as soon as no other session has locked it.
    async fn with_head<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl Fn(&mut Tables, DateTime<Utc>) -> T + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let (session, is_locked, work) = (self.session, self.is_locked, Arc::new(work));
        loop {
            let work = Arc::clone(&work);
            let attempt = move |tables: &mut Tables, now| {
                if is_locked && !tables.has_lock(session, now) {
                    return Access::Ended;
                }
                if tables.may_write(session, now) { Access::Done(work(tables, now)) } else { Access::Wait }
            };
            match self.book.ask(what, attempt).await? {
                Access::Done(done) => return Ok(done),
                Access::Ended => return Err(StoreError::Unavailable("the lock took too long".to_owned())),
                Access::Wait => self.book.process().sleep(WAIT).await,
            }
        }
    }
}

impl Session for MemorySession {
    async fn write(&mut self, writing: &Writing<'_>) -> Result<Written, StoreError> {
        let writing = OwnedWriting {
            streams: writing.streams.iter().map(|one| (*one).clone()).collect(),
            commands: writing.commands.iter().map(|(id, scope)| (*id, (*scope).to_owned())).collect(),
            units: writing.units.iter().map(|unit| (*unit).clone()).collect(),
        };
        let is_locked = self.is_locked;
        let write = move |tables: &mut Tables, now| {
            let written = tables.write(now, &writing);
            tables.locked = None;
            tables.written_locked += u64::from(is_locked && matches!(written, Written::Committed { .. }));
            written
        };
        let written = self.with_head("write", write).await;
        self.is_locked = false;
        written
    }

    async fn versions(&mut self, streams: &[&str]) -> Result<Vec<i32>, StoreError> {
        let streams: Vec<String> = streams.iter().map(|stream| (*stream).to_owned()).collect();
        let versions = move |tables: &mut Tables, _| streams.iter().map(|stream| tables.version(stream)).collect();
        self.book.ask("read versions", versions).await
    }

    async fn commands(&mut self, ids: &[Uuid]) -> Result<Vec<KnownCommand>, StoreError> {
        let ids = ids.to_vec();
        let known = move |tables: &mut Tables, _| {
            let mut known = Vec::new();
            for id in ids {
                let of = tables.commands.range((id, String::new())..).take_while(|((known, _), _)| *known == id);
                known.extend(of.map(|(_, command)| command.clone()));
            }
            known
        };
        self.book.ask("look up commands", known).await
    }

    async fn lock(&mut self) -> Result<(), StoreError> {
        let session = self.session;
        let lock = move |tables: &mut Tables, now: DateTime<Utc>| {
            tables.locked = Some((session, now + TimeDelta::milliseconds(LOCK_MILLIS)));
        };
        self.with_head("lock", lock).await?;
        self.is_locked = true;
        Ok(())
    }

    async fn unlock(&mut self) -> Result<(), StoreError> {
        if std::mem::take(&mut self.is_locked) {
            let session = self.session;
            let unlock = move |tables: &mut Tables, _| {
                tables.locked = tables.locked.filter(|(by, _)| *by != session);
            };
            self.book.ask("unlock", unlock).await?;
        }
        Ok(())
    }
}
