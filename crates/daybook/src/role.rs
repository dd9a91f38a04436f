//! The roles of a process.

use clap::ValueEnum;

/// A part of the engine that can run as a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Role {
    /// Takes commands.
    CommandApi,
    /// Answers queries.
    QueryApi,
    /// Publishes the book to Kafka. One relay leads, others stand by.
    Relay,
    /// Fills the read models.
    Projectors,
    /// Reacts to events: ends carts and reservations whose time is over. Without command-api in the same process it has a bus of
    /// its own.
    Reactors,
}
