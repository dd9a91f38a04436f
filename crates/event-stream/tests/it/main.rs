//! The wire against a real PostgreSQL and the real Kafka protocol.
#![allow(missing_docs, reason = "tests")]

mod consumer;
mod ledger;
mod rebalance;
mod relay;
mod world;
