//! The engine of a measurement: the topics of `daybook up`, on a database of the measurement's own. The binary hands in how it is
//! started, so that what is measured is wired as what is served.

use std::net::SocketAddr;

use daybook_edge::tokens::Keys;
use daybook_event_stream::KafkaSettings;
use futures::future::BoxFuture;

use super::{http::keys, stage::Stage};
use crate::Topics;

/// Partitions a topic, as `daybook up` has them.
pub(super) const PARTITIONS: i32 = 4;

/// The topics.
pub(super) fn topics() -> Topics {
    Topics { topic_prefix: "daybook".to_owned(), partitions: PARTITIONS, replication: 1, fetch_wait_ms: None }
}

/// What a measurement has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// What answers queries.
    Queries,
    /// What takes an order from its command to its row.
    CommandsToViews,
}

/// The engine that a measurement wants.
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

/// An engine that runs.
pub struct Running {
    /// Where it serves HTTP.
    pub address: SocketAddr,
    /// Stops it.
    pub stop: BoxFuture<'static, anyhow::Result<()>>,
}

/// How an engine is started, on a free port of this machine and without limits that would be measured instead.
pub type Start = dyn Fn(Wanted) -> BoxFuture<'static, anyhow::Result<Running>>;

/// The engine on the database of the measurement.
pub(super) fn on(stage: &Stage, parts: Parts, kafka: KafkaSettings) -> anyhow::Result<Wanted> {
    Ok(Wanted { parts, database_url: stage.database_url.clone(), kafka, keys: keys()? })
}
