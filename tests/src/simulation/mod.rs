//! Deterministic simulation: the real code of the bus and of the consumers, on a scheduler and a store whose every whim a seed
//! decides. A seed is a whole story, with crashes, lost answers and repetitions, and it is always the same story.
//!
//! [`scheduler`] is the machine, [`network`] its misfortunes, [`store`] the book in memory; [`shop`] are the clients, [`bus`] is one
//! run of the command bus; [`seeds`] runs many. The judge is the [nemesis](crate::nemesis)'s own. What belongs here is what
//! interleavings can break. What does not: SQL, HTTP, Kafka's protocol, real processes; the nemesis has those.

pub mod bus;
pub mod network;
pub mod scheduler;
pub mod seeds;
pub mod shop;
pub mod store;
