//! The limits of clients, as flags and environment variables.

use std::{num::NonZeroUsize, time::Duration};

use daybook_bus::{BusSettings, CLOCK_LIMIT};
use daybook_edge::{
    proxies::{self, TrustedProxies},
    rates::{Limit, RateLimits},
    server::ConnectionLimits,
};
use daybook_operations::Usage;
use daybook_query_api::{PATIENCE, StreamLimits};
use ipnet::IpNet;

/// The limits of clients. The defaults suit a shop.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Limits")]
pub struct Flags {
    /// The most connections, WebSockets among them.
    #[arg(long, env = "DAYBOOK_MAX_CONNECTIONS", default_value_t = some(ConnectionLimits::default().connections))]
    max_connections: NonZeroUsize,
    /// The most connections from one address that is no trusted proxy.
    #[arg(long, env = "DAYBOOK_MAX_CONNECTIONS_PER_ADDRESS", default_value_t = some(ConnectionLimits::default().connections_per_address))]
    max_connections_per_address: NonZeroUsize,
    /// The most live subscriptions, those of server-sent events among them.
    #[arg(long, env = "DAYBOOK_MAX_SUBSCRIPTIONS", default_value_t = some(StreamLimits::default().per_process))]
    max_subscriptions: NonZeroUsize,
    /// The most live subscriptions of one WebSocket.
    #[arg(long, env = "DAYBOOK_MAX_SUBSCRIPTIONS_PER_CONNECTION", default_value_t = some(StreamLimits::default().per_connection))]
    max_subscriptions_per_connection: NonZeroUsize,
    /// The most live subscriptions of one customer, or of one address without a token of staff.
    #[arg(long, env = "DAYBOOK_MAX_SUBSCRIPTIONS_PER_CALLER", default_value_t = some(StreamLimits::default().per_caller))]
    max_subscriptions_per_caller: NonZeroUsize,
    /// How many more live subscriptions staff may have when all others are taken.
    #[arg(long, env = "DAYBOOK_SUBSCRIPTIONS_FOR_STAFF", default_value_t = StreamLimits::default().reserve_for_staff)]
    subscriptions_for_staff: usize,
    /// How many seconds the head of a request may take.
    #[arg(long, env = "DAYBOOK_HEAD_TIMEOUT", default_value_t = ConnectionLimits::default().head_timeout.as_secs(), value_parser = seconds())]
    head_timeout: u64,
    /// How many seconds a connection is kept without a request.
    #[arg(long, env = "DAYBOOK_IDLE_TIMEOUT", default_value_t = ConnectionLimits::default().idle_timeout.as_secs(), value_parser = seconds())]
    idle_timeout: u64,
    /// How many seconds a request may take until its answer begins.
    #[arg(long, env = "DAYBOOK_REQUEST_TIMEOUT", default_value_t = ConnectionLimits::default().request_timeout.as_secs(), value_parser = seconds())]
    request_timeout: u64,
    /// How many seconds a query waits for the read models to show the position that it asks for.
    #[arg(long, env = "DAYBOOK_CONSISTENCY_TIMEOUT", default_value_t = PATIENCE.as_secs(), value_parser = seconds())]
    consistency_timeout: u64,
    /// How many requests a second may come from one address without a token of staff: 100, or 100/400 with how many at once, or
    /// off.
    #[arg(long, env = "DAYBOOK_RATE_PER_ADDRESS", default_value_t = RateLimits::default().address)]
    rate_per_address: Limit,
    /// How many requests a second one customer may send.
    #[arg(long, env = "DAYBOOK_RATE_PER_CUSTOMER", default_value_t = RateLimits::default().customer)]
    rate_per_customer: Limit,
    /// How many requests a second one holder of a token of staff may send.
    #[arg(long, env = "DAYBOOK_RATE_PER_STAFF", default_value_t = RateLimits::default().staff)]
    rate_per_staff: Limit,
    /// The most MiB of folded streams that the command-api keeps in memory. A stream that is not kept is loaded again.
    #[arg(long, env = "DAYBOOK_CACHE_MIB", default_value_t = BusSettings::default().cache_bytes >> 20)]
    cache_mib: usize,
    /// How many seconds the clock of a process may be from the database's. Beyond that the process decides no commands.
    #[arg(long, env = "DAYBOOK_MAX_CLOCK_DIFFERENCE", default_value_t = CLOCK_LIMIT.as_secs(), value_parser = clap::value_parser!(u64).range(1..=300))]
    max_clock_difference: u64,
    /// The networks of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8; the query-api is one for a command-api on
    /// another machine.
    #[arg(long, env = "DAYBOOK_TRUSTED_PROXIES", value_delimiter = ',', value_parser = proxies::network, default_values_t = TrustedProxies::default().0)]
    trusted_proxies: Vec<IpNet>,
}

fn some(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN)
}

fn seconds() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=86_400)
}

impl Flags {
    /// Checks what one limit says of another.
    ///
    /// # Errors
    /// When a query may wait for longer than its request.
    pub fn check(&self) -> Result<(), Usage> {
        if self.consistency_timeout < self.request_timeout {
            return Ok(());
        }
        let (query, request) = (self.consistency_timeout, self.request_timeout);
        Err(Usage(format!(
            "--consistency-timeout is {query} s, and --request-timeout, which has to be longer, is {request} s"
        )))
    }

    /// The limits of connections.
    #[must_use]
    pub fn connections(&self) -> ConnectionLimits {
        ConnectionLimits {
            connections: self.max_connections.get(),
            connections_per_address: self.max_connections_per_address.get(),
            head_timeout: Duration::from_secs(self.head_timeout),
            idle_timeout: Duration::from_secs(self.idle_timeout),
            request_timeout: Duration::from_secs(self.request_timeout),
            trusted_proxies: TrustedProxies(self.trusted_proxies.clone()),
            ..ConnectionLimits::default()
        }
    }

    /// How long a query waits for its minimum position.
    #[must_use]
    pub const fn patience(&self) -> Duration {
        Duration::from_secs(self.consistency_timeout)
    }

    /// The most bytes of folded streams that are kept in memory.
    #[must_use]
    pub const fn cache_bytes(&self) -> usize {
        self.cache_mib.saturating_mul(1 << 20)
    }

    /// How far the clock of a process that decides may be from the database's.
    #[must_use]
    pub const fn clock(&self) -> Duration {
        Duration::from_secs(self.max_clock_difference)
    }

    /// The rate limits.
    #[must_use]
    pub const fn rates(&self) -> RateLimits {
        RateLimits { address: self.rate_per_address, customer: self.rate_per_customer, staff: self.rate_per_staff }
    }

    /// The limits of subscriptions.
    #[must_use]
    pub const fn streams(&self) -> StreamLimits {
        StreamLimits {
            per_connection: self.max_subscriptions_per_connection.get(),
            per_caller: self.max_subscriptions_per_caller.get(),
            per_process: self.max_subscriptions.get(),
            reserve_for_staff: self.subscriptions_for_staff,
        }
    }
}
