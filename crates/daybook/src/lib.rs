//! The one binary of Daybook, as a library for its `main` and its tests.
//!
//! What belongs here: the command line, configuration, the wiring of the parts, telemetry. What does not: commerce, storage, streams,
//! queries and the commands of operators, which are crates.

pub mod asyncapi;
mod bench;
pub mod cli;
pub mod config;
pub mod connections;
pub mod demo;
pub mod drain;
mod health;
mod log_limit;
pub mod reload;
pub mod role;
pub mod schema;
mod seat;
pub mod serve;
pub mod settings;
mod start;
pub mod telemetry;
pub mod token;
pub mod up;
