//! The wire on a real PostgreSQL and the real Kafka protocol: on librdkafka's own cluster, or on the cluster of `KAFKA_BROKERS`
//! (`.ci/kafka run -- cargo test -p daybook-event-stream`).
#![allow(missing_docs, reason = "tests")]

mod broker;
mod consumer;
mod feed;
mod foreign;
mod histories;
mod ledger;
mod losses;
mod rebalance;
mod relay;
mod sessions;
mod world;
