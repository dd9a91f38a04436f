//! The private servers of `daybook up`: PostgreSQL as child processes, and a Kafka broker inside this process, which is the
//! wire's own, since its tests run on it as well.
//!
//! Both speak the real protocol on an address, and that address is all the rest of the engine ever sees: there is no
//! second code path for "embedded". What belongs here: finding, starting, guarding and stopping those servers. What does
//! not: anything about what is kept in them.

pub mod postgres;
pub mod supervisor;

pub use daybook_event_stream::broker;
