//! Reactors on a real PostgreSQL and the embedded broker, with a clock that the tests move.

mod expiry;
mod failures;
mod slow;
mod world;
