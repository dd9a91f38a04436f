//! The engine of a measurement: the topics of `daybook up`, on a database of the measurement's own, and limits that do not
//! measure themselves.

use daybook_command_api::http::Storefront;
use daybook_edge::rates::RateLimits;
use daybook_event_stream::KafkaSettings;

use super::{http::keys, stage::Stage};
use crate::{
    config::Topics,
    serve::{Limits, Role, Settings},
};

/// Partitions a topic, as `daybook up` has them.
pub(super) const PARTITIONS: i32 = 4;

/// The topics.
pub(super) fn topics() -> Topics {
    Topics { topic_prefix: "daybook".to_owned(), partitions: PARTITIONS, replication: 1, fetch_wait_ms: None }
}

/// A process of these roles.
pub(super) fn settings<const N: usize>(
    stage: &Stage,
    roles: [Role; N],
    kafka: KafkaSettings,
) -> anyhow::Result<Settings> {
    Ok(Settings {
        roles: roles.into(),
        listen: ([127, 0, 0, 1], 0).into(),
        database_url: stage.database_url.clone(),
        kafka,
        keys: keys()?,
        command_url: None,
        introspection: false,
        storefront: Storefront::default(),
        limits: Limits { rates: RateLimits::OFF, ..Limits::default() },
        refill_bytes: None,
    })
}
