//! The private PostgreSQL of `daybook up`: child processes of this one.
//!
//! The server speaks the real protocol on an address. The rest of the engine sees only that address, so there is no second code path
//! for "embedded". What belongs here: finding, starting, watching and stopping the server, and the [data directory](data_directory)
//! of `daybook up`. What does not: the contents of the database. The embedded broker is part of event-stream, whose tests use it.

pub mod data_directory;
pub mod postgres;
pub mod supervisor;
