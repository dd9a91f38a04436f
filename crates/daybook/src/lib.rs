//! The one binary of Daybook, as a library that its `main` and its tests call.
//!
//! What belongs here: what only the process as a whole knows, such as the command line, its configuration and the
//! private servers that `daybook up` starts. What does not: commerce, storage, streams, queries; those are crates.

pub mod asyncapi;
mod bench;
pub mod cli;
pub mod config;
pub mod demo;
mod health;
pub mod schema;
pub mod serve;
pub mod telemetry;
pub mod token;
pub mod up;
