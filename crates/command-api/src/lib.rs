//! The HTTP face of the command bus.
//!
//! What belongs here: the translation of HTTP to commands and of outcomes to answers, and the documents that describe them. What does
//! not: the bus (a crate of its own), rules (in the domain), queries (in query-api).

pub mod forward;
pub mod http;
pub mod openapi;
