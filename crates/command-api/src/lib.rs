//! The HTTP face of the command bus.
//!
//! What belongs here: the translation of HTTP to commands and of outcomes to answers, the documents that describe them. What
//! does not: the bus (it is a crate of its own), rules (they are in the domain), reading (query-api).

pub mod http;
pub mod openapi;
