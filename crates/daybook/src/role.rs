//! The parts that the engine is made of.

use clap::ValueEnum;

/// A part of the engine that can run in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Role {
    /// Takes commands.
    CommandApi,
    /// Answers queries.
    QueryApi,
    /// Publishes the book to Kafka; one leads, others stand by.
    Relay,
    /// Fills the read models.
    Projectors,
}
