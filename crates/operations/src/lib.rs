//! What operators do with a book, each a command of `daybook`: import, verify, replay, look after views and topics, back up,
//! restore, measure.
//!
//! What belongs here: the flags of such a command, its work, and what it prints. What does not: the command line as a whole,
//! configuration, and how the parts of the engine are wired, which are the binary's. Where a measurement needs parts that run, the
//! binary hands in how to start them.

pub mod backup;
pub mod bench;
mod connection;
pub mod events;
pub mod history;
pub mod import;
mod migrate;
mod progress;
pub mod relay;
pub mod restore;
mod topics;
mod usage;
pub mod verify;
pub mod views;

pub use self::{connection::Connection, migrate::migrate, topics::Topics, usage::Usage};
