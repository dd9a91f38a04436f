//! Deterministic simulation: the real code of the bus and of the consumers, on a scheduler and a store whose every step a seed decides.
//! A seed gives one run, with crashes, lost responses and repetitions. The same seed always gives the same run.
//!
//! [`scheduler`] runs the tasks, [`network`] injects faults, [`server`] is a database in memory, and [`store`] is the book in it.
//! [`shop`] holds the clients, [`seat`] leads them to one bus. [`bus`] is one run of the command bus, and its judge is that of the [nemesis](crate::nemesis).
//! [`consumer`] is one run of the consumers of the stream. [`seeds`] runs many seeds.
//!
//! What belongs here: what interleavings can break. What does not: SQL, HTTP, Kafka's protocol and real processes, which the nemesis
//! tests.

pub mod bus;
pub mod consumer;
pub mod network;
pub mod scheduler;
pub mod seat;
pub mod seeds;
pub mod server;
pub mod shop;
pub mod store;
