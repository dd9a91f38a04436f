//! What a reactor is: a pure function from events to reactions.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use daybook_domain::{Command, Event, Refusal, Slice};

/// What the engine does by itself after certain events.
pub struct Reactor {
    /// Its name, in tables, in metrics and on the command line. The commands that it sends are of the actor `system:<name>`.
    pub name: &'static str,
    /// The slices whose events it gets.
    pub slices: &'static [Slice],
    /// What it does after which events. An event that is not listed has no reaction.
    pub table: &'static [Trigger],
    /// The reactions to an event that took effect at a time. Pure: the same event gives the same reactions.
    pub react: fn(&Event, DateTime<Utc>, &mut Reactions),
    /// When a reaction is to be tried again whose command was refused; never when absent.
    pub again_at: fn(&Refusal) -> Option<DateTime<Utc>>,
}

impl Reactor {
    /// The name of its consumer.
    #[must_use]
    pub fn consumer(&self) -> String {
        format!("reactor_{}", self.name)
    }
}

/// A line of the reaction table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trigger {
    /// The types of the events.
    pub on: &'static [&'static str],
    /// The reaction, in words.
    pub reaction: &'static str,
}

/// A command to be sent at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Reaction {
    /// When to send it.
    pub due: DateTime<Utc>,
    /// The command.
    pub command: Command,
}

impl Reaction {
    /// A command to be sent at a time.
    #[must_use]
    pub fn at(due: DateTime<Utc>, command: impl Into<Command>) -> Self {
        Self { due, command: command.into() }
    }
}

/// The reactions to an event. Each has a key among those of its reactor: a later one of the same key replaces it.
#[derive(Debug, Default)]
pub struct Reactions(pub(super) BTreeMap<String, Option<Reaction>>);

impl Reactions {
    /// Sets a reaction.
    pub fn set(&mut self, key: String, reaction: Reaction) {
        self.0.insert(key, Some(reaction));
    }

    /// Cancels the reaction of this key, if it was not sent yet.
    pub fn cancel(&mut self, key: String) {
        self.0.insert(key, None);
    }
}

#[cfg(test)]
impl Reactions {
    /// The only reaction, as a test looks at it: its key, and what was set. None when it was cancelled.
    pub(crate) fn only(&self) -> (&str, Option<&Reaction>) {
        let mut all = self.0.iter().map(|(key, reaction)| (key.as_str(), reaction.as_ref()));
        match (all.next(), all.next()) {
            (Some(only), None) => only,
            _ => panic!("there is not one reaction: {self:?}"),
        }
    }

    /// Whether there is no reaction.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
