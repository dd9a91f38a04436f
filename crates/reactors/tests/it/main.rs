//! Reactors on a real PostgreSQL and the embedded broker, by a clock of the tests.

mod expiry;
mod failures;
mod slow;
mod world;
