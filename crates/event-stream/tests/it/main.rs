//! The wire against a real PostgreSQL and the real Kafka protocol: librdkafka's own cluster, or with `KAFKA_BROKERS` that one
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
