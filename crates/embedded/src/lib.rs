//! The private PostgreSQL of `daybook up`: child processes of this one.
//!
//! It speaks the real protocol on an address, and that address is all the rest of the engine ever sees: there is no second code
//! path for "embedded". What belongs here: finding, starting, guarding and stopping the server. What does not: anything about
//! what is kept in it. The embedded broker is event-stream's, whose tests run on it as well.

pub mod postgres;
pub mod supervisor;
