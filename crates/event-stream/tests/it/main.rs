//! The wire on a real PostgreSQL and the real Kafka protocol. The broker is librdkafka's own cluster, or that of `KAFKA_BROKERS`
//! (`.ci/kafka run -- cargo test -p daybook-event-stream`).
#![allow(clippy::print_stderr, reason = "tests")]
#![allow(missing_docs, reason = "tests")]

mod broker;
mod consumer;
mod feed;
mod foreign;
mod forged;
mod histories;
mod ledger;
mod losses;
mod rebalance;
mod relay;
mod secured;
mod sessions;
mod set_aside;
mod waiting;
mod world;
