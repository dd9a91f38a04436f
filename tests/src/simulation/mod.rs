//! Deterministic simulation: the real code of the bus and of the consumers, on a scheduler and a store whose every whim a seed
//! decides. A seed is a whole story, with crashes, lost answers and repetitions, and it is always the same story.
//!
//! [`scheduler`] is the machine, [`network`] its misfortunes, [`server`] a database in memory and [`store`] the book in it; [`shop`]
//! are the clients. [`bus`] is one run of the command bus, whose judge is the [nemesis](crate::nemesis)'s own; [`consumer`] is one of
//! the consumers of the stream. [`seeds`] runs many. What belongs here is what interleavings can break. What does not: SQL, HTTP,
//! Kafka's protocol, real processes; the nemesis has those.

pub mod bus;
pub mod consumer;
pub mod network;
pub mod scheduler;
pub mod seeds;
pub mod server;
pub mod shop;
pub mod store;
