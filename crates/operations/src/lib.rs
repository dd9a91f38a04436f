//! The commands of operators: import, verify, history, events, views, reactors, relay, backup, restore, bench.
//!
//! What belongs here: the flags of such a command, its work, and its output. What does not: the command line as a whole, configuration
//! files, and the wiring of the engine, which belong to the binary. A measurement that needs a running engine is given a function that
//! starts one.

pub mod backup;
pub mod bench;
mod connection;
mod door;
pub mod events;
pub mod history;
pub mod import;
mod kafka;
mod migrate;
pub mod output;
mod progress;
pub mod reactors;
pub mod relay;
pub mod restore;
mod table;
mod topics;
mod usage;
pub mod verify;
pub mod views;

pub use self::{
    connection::{Connection, DatabaseUrl, secret},
    kafka::KafkaFlags,
    migrate::{migrate, schema},
    topics::Topics,
    usage::Usage,
};
