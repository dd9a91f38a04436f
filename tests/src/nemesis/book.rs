//! The book, read from PostgreSQL after the run: its events and its log of commands.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

/// An event of the book.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its position in the book.
    pub position: i64,
    /// Its stream.
    pub stream: String,
    /// Its version in the stream.
    pub version: i32,
    /// The name of its type.
    pub event_type: String,
    /// The version of its schema.
    pub schema_version: i16,
    /// Its id.
    pub event_id: Uuid,
    /// When it was written.
    pub recorded_at: DateTime<Utc>,
    /// When it took effect.
    pub effective_at: DateTime<Utc>,
    /// The correlation id: the command that began its causal chain.
    pub correlation_id: Uuid,
    /// The causation id: the command itself, or the event that a reactor has answered with the command.
    pub causation_id: Uuid,
    /// The actor that sent the command.
    pub actor: String,
    /// Its data.
    pub data: Value,
}

/// The command that has written an event, as far as the event says. No other command writes as the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Writer<'e> {
    /// The command with this id.
    Command(Uuid),
    /// The command of a reactor, by the event that it answers.
    Reaction(&'e str, Uuid),
}

/// The actors of reactors begin so.
const SYSTEM: &str = "system:";

impl Event {
    /// The command that has written it.
    #[must_use]
    pub fn writer(&self) -> Writer<'_> {
        match self.reactor() {
            Some(reactor) => Writer::Reaction(reactor, self.causation_id),
            None => Writer::Command(self.correlation_id),
        }
    }

    /// The reactor that has sent its command, if one has.
    #[must_use]
    pub fn reactor(&self) -> Option<&str> {
        self.actor.strip_prefix(SYSTEM)
    }
}

/// A command of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// The position of its first event.
    pub first: i64,
    /// The number of its events.
    pub events: usize,
}

/// The whole book.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// The events in order. The first one is at position 1.
    pub events: Vec<Event>,
    /// The commands by their ids.
    pub commands: BTreeMap<Uuid, Command>,
}

impl Book {
    /// Reads the book.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read(sql: &Client) -> anyhow::Result<Self> {
        let mut book = Self::default();
        let rows = sql
            .query(
                "SELECT position, stream_id, version, type, schema_version, event_id, recorded_at, effective_at,
                        correlation_id, causation_id, actor, data FROM events ORDER BY position",
                &[],
            )
            .await?;
        for row in rows {
            book.events.push(Event {
                position: row.try_get(0)?,
                stream: row.try_get(1)?,
                version: row.try_get(2)?,
                event_type: row.try_get(3)?,
                schema_version: row.try_get(4)?,
                event_id: row.try_get(5)?,
                recorded_at: row.try_get(6)?,
                effective_at: row.try_get(7)?,
                correlation_id: row.try_get(8)?,
                causation_id: row.try_get(9)?,
                actor: row.try_get(10)?,
                data: row.try_get(11)?,
            });
        }
        for row in sql.query("SELECT command_id, first_position, events FROM commands", &[]).await? {
            let events = usize::try_from(row.try_get::<_, i32>(2)?)?;
            book.commands.insert(row.try_get(0)?, Command { first: row.try_get(1)?, events });
        }
        Ok(book)
    }

    /// The events of a command, without those that the book lacks.
    #[must_use]
    pub fn of(&self, command: Command) -> &[Event] {
        let begin = usize::try_from(command.first - 1).unwrap_or(usize::MAX).min(self.events.len());
        let end = begin.saturating_add(command.events).min(self.events.len());
        &self.events[begin..end]
    }

    /// The commands in the order in which they were committed.
    #[must_use]
    pub fn in_order(&self) -> Vec<(Uuid, Command)> {
        let mut commands: Vec<_> = self.commands.iter().map(|(id, command)| (*id, *command)).collect();
        commands.sort_by_key(|(_, command)| (command.first, command.events));
        commands
    }

    /// The last position.
    #[must_use]
    pub fn head(&self) -> i64 {
        self.events.last().map_or(0, |event| event.position)
    }
}
