//! The settings of a process, as `serve`, `up` and the measurements make them.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use daybook_bus::{BusSettings, CLOCK_LIMIT, Clock};
use daybook_domain::Storefront;
use daybook_edge::{rates::RateLimits, server::ConnectionLimits, tokens::Keys};
use daybook_event_stream::KafkaSettings;
use daybook_query_api::TimeZone;

use crate::{config::limits::Flags, connections::Database, reload::Secrets, role::Role};

/// The settings of a process of the engine.
pub struct Settings {
    /// The parts to run.
    pub roles: BTreeSet<Role>,
    /// The address of the HTTP server.
    pub listen: SocketAddr,
    /// The address at which other processes find this one, if it is another one.
    pub advertise: Option<String>,
    /// The address of the port for operators.
    pub ops_listen: SocketAddr,
    /// How long the process serves on when it drains.
    pub drain_delay: Duration,
    /// The PostgreSQL that holds the book, and the connections to it.
    pub database: Database,
    /// The broker and its topics.
    pub kafka: KafkaSettings,
    /// The keys that check tokens.
    pub keys: Keys,
    /// The secrets that are read again on SIGHUP, if the process does so.
    pub secrets: Option<Secrets>,
    /// The URL of the command-api for mutations. Without it, mutations are commands of this process.
    pub command_url: Option<String>,
    /// Whether guests and customers may introspect the GraphQL schemas. Staff always may.
    pub introspection: bool,
    /// The time zone of the shop.
    pub time_zone: TimeZone,
    /// What guests and customers may buy.
    pub storefront: Storefront,
    /// The limits of clients.
    pub limits: Limits,
    /// The bytes of the book that lost topics are refilled with. All of it when absent.
    pub refill_bytes: Option<i64>,
    /// The clock of the process.
    pub clock: Clock,
}

/// The limits of clients.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The limits of connections.
    pub connections: ConnectionLimits,
    /// The rate limits.
    pub rates: RateLimits,
    /// The limits of subscriptions.
    pub streams: daybook_query_api::StreamLimits,
    /// How long a query waits for its minimum position.
    pub patience: Duration,
    /// The most bytes of folded streams that the command-api keeps in memory.
    pub cache_bytes: usize,
    /// How far the clock of a process that decides may be from the database's.
    pub clock: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: ConnectionLimits::default(),
            rates: RateLimits::default(),
            streams: daybook_query_api::StreamLimits::default(),
            patience: daybook_query_api::PATIENCE,
            cache_bytes: BusSettings::default().cache_bytes,
            clock: CLOCK_LIMIT,
        }
    }
}

impl From<&Flags> for Limits {
    fn from(flags: &Flags) -> Self {
        Self {
            connections: flags.connections(),
            rates: flags.rates(),
            streams: flags.streams(),
            patience: flags.patience(),
            cache_bytes: flags.cache_bytes(),
            clock: flags.clock(),
        }
    }
}
