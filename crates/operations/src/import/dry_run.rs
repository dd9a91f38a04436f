//! A book that is read and never written: what an import would write is kept in memory, so that later records are decided on it.
//!
//! It is the same contract that the bus uses, so a dry run decides exactly as an import does.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use daybook_bus::Clock;
use daybook_event_store::{
    AppendUnit, Appender, Daybook, Filter, KnownCommand, LoadedStream, PostgresSession, RecordedEvent, Session,
    Snapshot, Store, StoreError, Writing, Written,
};
use uuid::Uuid;

/// A book, and what is kept beside it.
#[derive(Clone)]
pub(super) struct DryBook {
    book: Daybook,
    kept: Arc<Mutex<Kept>>,
}

/// What would have been written.
#[derive(Default)]
struct Kept {
    streams: HashMap<Arc<str>, Vec<RecordedEvent>>,
    commands: BTreeMap<(Uuid, String), KnownCommand>,
    events: i64,
}

impl DryBook {
    /// Nothing is kept beside the book yet.
    pub(super) fn over(book: Daybook) -> Self {
        Self { book, kept: Arc::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic while it was locked leaves whole units behind, since each is kept in one call.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// How many events of a stream are kept.
    fn count(&self, stream: &str) -> i32 {
        self.streams.get(stream).map_or(0, |events| i32::try_from(events.len()).unwrap_or(i32::MAX))
    }

    fn keep(&mut self, unit: &AppendUnit, head: i64, now: DateTime<Utc>) {
        let first_position = head + self.events + 1;
        let key = (unit.command_id, unit.scope.clone());
        let known = KnownCommand {
            command_id: unit.command_id,
            scope: unit.scope.clone(),
            fingerprint: unit.fingerprint.clone(),
            first_position,
            events: i32::try_from(unit.events.len()).unwrap_or(i32::MAX),
        };
        self.commands.insert(key, known);
        for (event, version) in unit.events.iter().zip(unit.versions()) {
            self.events += 1;
            self.streams.entry(Arc::clone(&event.stream_id)).or_default().push(RecordedEvent {
                position: head + self.events,
                stream_id: event.stream_id.to_string(),
                version,
                event_type: event.event_type.to_string(),
                schema_version: event.schema_version,
                event_id: event.event_id,
                recorded_at: now,
                effective_at: event.effective_at.unwrap_or(now),
                correlation_id: unit.correlation_id,
                causation_id: unit.causation_id,
                actor: unit.actor.clone(),
                trace: unit.trace.clone(),
                key_id: event.key_id,
                data: event.data.clone(),
            });
        }
    }
}

impl Store for DryBook {
    type Session = DrySession;

    async fn appender(&self) -> Result<Appender<DrySession>, StoreError> {
        let head = self.book.head().await?;
        let real = self.book.appender().await?.into_session();
        let session = DrySession { real, book: self.clone(), head: head.position, now: Clock::system().now() };
        Ok(Appender::over(session))
    }

    async fn load_streams(&self, streams: &[Arc<str>], fold_version: i16) -> Result<Vec<LoadedStream>, StoreError> {
        let mut loaded = self.book.load_streams(streams, fold_version).await?;
        let kept = self.kept();
        for stream in &mut loaded {
            stream.events.extend(kept.streams.get(&stream.stream_id).into_iter().flatten().cloned());
        }
        Ok(loaded)
    }

    async fn save_snapshot(&self, _: &str, _: i16, _: &Snapshot) -> Result<(), StoreError> {
        Ok(())
    }

    async fn read_after(&self, after: i64, limit: usize, filter: &Filter) -> Result<Vec<RecordedEvent>, StoreError> {
        self.book.read_after(after, limit, filter).await
    }
}

/// A connection that looks up in the book and in what is kept beside it.
pub(super) struct DrySession {
    real: PostgresSession,
    book: DryBook,
    /// The last position of the book when the connection was made.
    head: i64,
    now: DateTime<Utc>,
}

impl Session for DrySession {
    async fn write(&mut self, writing: &Writing<'_>) -> Result<Written, StoreError> {
        let looked_up: Vec<&str> = writing.streams.iter().map(|(stream, _)| &**stream).collect();
        let actual = self.versions(&looked_up).await?;
        let known = self.commands(&writing.commands.iter().map(|(id, _)| *id).collect::<Vec<_>>()).await?;
        let is_checked = |known: &KnownCommand| writing.commands.contains(&(known.command_id, known.scope.as_str()));
        let duplicates: Vec<Uuid> =
            known.iter().filter(|known| is_checked(known)).map(|known| known.command_id).collect();
        if !duplicates.is_empty() || !actual.iter().eq(writing.streams.iter().map(|(_, version)| version)) {
            return Ok(Written::Refused { actual, duplicates });
        }
        if self.violates_unique_key(writing.units).await? {
            return Ok(Written::UniqueViolation);
        }
        let mut kept = self.book.kept();
        let first_position = self.head + kept.events + 1;
        for unit in writing.units {
            kept.keep(unit, self.head, self.now);
        }
        Ok(Written::Committed { first_position, recorded_at: self.now })
    }

    async fn versions(&mut self, streams: &[&str]) -> Result<Vec<i32>, StoreError> {
        let real = self.real.versions(streams).await?;
        let kept = self.book.kept();
        Ok(streams.iter().zip(real).map(|(stream, version)| version + kept.count(stream)).collect())
    }

    async fn commands(&mut self, ids: &[Uuid]) -> Result<Vec<KnownCommand>, StoreError> {
        let mut known = self.real.commands(ids).await?;
        let kept = self.book.kept();
        for id in ids {
            let of = kept.commands.range((*id, String::new())..).take_while(|((known, _), _)| known == id);
            known.extend(of.map(|(_, known)| known.clone()));
        }
        Ok(known)
    }
}

impl DrySession {
    /// Whether the unique keys of the book would refuse the units: one of their versions or commands exists.
    async fn violates_unique_key(&mut self, units: &[&AppendUnit]) -> Result<bool, StoreError> {
        // The first unit that reads a stream has read it at its version before the batch.
        let mut base: BTreeMap<&str, i32> = BTreeMap::new();
        for (stream, version) in units.iter().flat_map(|unit| &unit.reads) {
            base.entry(stream).or_insert(*version);
        }
        let streams: Vec<&str> = base.keys().copied().collect();
        let versions = self.versions(&streams).await?;
        if !base.values().eq(&versions) {
            return Ok(true);
        }
        let ids: Vec<Uuid> = units.iter().map(|unit| unit.command_id).collect();
        let known = self.commands(&ids).await?;
        let is_known = |unit: &&AppendUnit| {
            known.iter().any(|known| known.command_id == unit.command_id && known.scope == unit.scope)
        };
        Ok(units.iter().any(is_known))
    }
}
