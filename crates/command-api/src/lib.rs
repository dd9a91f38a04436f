//! The command bus and its HTTP face.
//!
//! A command is loaded, decided and committed together with all that were decided while the commit before was under way:
//! see [`bus`]. What belongs here: the bus, the translation of HTTP to commands and of outcomes to answers, the documents
//! that describe them. What does not: rules (they are in the domain), SQL (it is in the event store), reading (query-api).

pub mod bus;
pub mod clock;
pub mod http;
pub mod openapi;

pub use bus::{Bus, BusSettings, CommandError, Receipt, Submission};
pub use clock::Clock;
