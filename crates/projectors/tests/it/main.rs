//! The read models on a real PostgreSQL and the real Kafka protocol.
#![allow(missing_docs, reason = "tests")]

mod catalog_folds;
mod facts;
mod folds;
mod parking;
mod rebuilding;
mod revisions;
mod running;
mod sources;
mod stage;
mod statements;
mod world;
