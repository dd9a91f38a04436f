//! The engine of a measurement: the topics of `daybook up`, on a database of its own. The binary supplies the function that starts it,
//! so a measurement runs the same wiring as `daybook serve`.

use std::net::SocketAddr;

use daybook_edge::tokens::Keys;
use daybook_event_stream::KafkaSettings;
use futures::future::BoxFuture;

use super::{http::keys, stage::Stage};
use crate::Topics;

/// The partitions of a topic, as in `daybook up`.
pub(super) const PARTITIONS: i32 = 4;

/// The topics.
pub(super) fn topics() -> Topics {
    Topics { topic_prefix: "daybook".to_owned(), partitions: PARTITIONS, replication: 1, fetch_wait_ms: None }
}

/// The parts of the engine that a measurement needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// The part that answers queries.
    Queries,
    /// The parts that take an order from its command to its row.
    CommandsToViews,
}

/// The engine that a measurement needs.
pub struct Wanted {
    /// Its parts.
    pub parts: Parts,
    /// The PostgreSQL that holds the book.
    pub database_url: String,
    /// The broker and its topics.
    pub kafka: KafkaSettings,
    /// The keys that check tokens.
    pub keys: Keys,
}

/// A running engine.
pub struct Running {
    /// The address of its HTTP server.
    pub address: SocketAddr,
    /// Stops it when polled.
    pub stop: BoxFuture<'static, anyhow::Result<()>>,
}

/// Starts an engine on a free port of this machine, without rate limits.
pub type Start = dyn Fn(Wanted) -> BoxFuture<'static, anyhow::Result<Running>>;

/// The engine on the database of the measurement.
pub(super) fn on(stage: &Stage, parts: Parts, kafka: KafkaSettings) -> anyhow::Result<Wanted> {
    Ok(Wanted { parts, database_url: stage.database_url.clone(), kafka, keys: keys()? })
}
