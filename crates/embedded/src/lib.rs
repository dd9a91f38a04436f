//! The private PostgreSQL of `daybook up`: child processes of this one.
//!
//! It speaks the real protocol on an address, and that address is all the rest of the engine ever sees: there is no second code
//! path for "embedded". What belongs here: finding, starting, guarding and stopping the server. What does not: anything about
//! what is kept in it. The [data directory](data_directory) that the server is in is named here, too, for those that make one and
//! those that use it. The embedded broker is event-stream's, whose tests run on it as well.

pub mod data_directory;
pub mod postgres;
pub mod supervisor;
