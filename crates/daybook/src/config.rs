//! Configuration: every value is a flag and an environment variable, and can be set in a [`file`].

pub mod file;
pub mod limits;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use daybook_domain::ids::{Channel, LocationId};
use daybook_event_store::Secret;
use daybook_operations::{Usage, secret};
use daybook_query_api::TimeZone;

use crate::connections::{Budgets, GivenBudget};

/// How long a process of a cluster serves on by default when it drains. It is longer than a balancer needs to notice.
pub const DRAIN_DELAY: Duration = Duration::from_secs(5);

/// Where operators reach the process, as a flag.
#[derive(Debug, Clone, Args)]
pub struct Operations {
    /// The address of the port for operators: probes, metrics, and `POST /drain`. It asks for no token, so it must not be public. Port 0
    /// takes a free port.
    #[arg(long, env = "DAYBOOK_OPS_LISTEN", default_value = "127.0.0.1:0")]
    pub ops_listen: SocketAddr,
}

/// What guests and customers may buy, as flags.
#[derive(Debug, Clone, Args)]
pub struct Storefront {
    /// The channels that guests and customers may open carts in. Staff may use any.
    #[arg(long, env = "DAYBOOK_STOREFRONT_CHANNELS", value_delimiter = ',', default_value = "web")]
    pub storefront_channels: Vec<Channel>,
    /// The locations that orders of guests and customers may be shipped from. Any location if empty.
    #[arg(long, env = "DAYBOOK_STOREFRONT_LOCATIONS", value_delimiter = ',')]
    pub storefront_locations: Vec<LocationId>,
}

/// What holds for the whole shop, as flags.
#[derive(Debug, Clone, Copy, Args)]
pub struct Shop {
    /// The time zone of the shop, by its name in the IANA time zone database, such as Europe/Berlin. Sales figures have its days.
    #[arg(long, env = "DAYBOOK_TIME_ZONE", default_value = "UTC", value_parser = time_zone)]
    pub time_zone: TimeZone,
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    name.parse().map_err(|_| format!("`{name}` is not in the IANA time zone database, as Europe/Berlin is"))
}

/// The connections to PostgreSQL, as flags.
#[derive(Debug, Clone, Args)]
pub struct ConnectionFlags {
    /// The most connections to PostgreSQL of a role, as ROLE=N, or of each role, as N: command-api=8, query-api=16, relay=4,
    /// projectors=12 and reactors=8 by default. Set the same for all processes.
    #[arg(long, env = "DAYBOOK_DB_CONNECTIONS", value_delimiter = ',', value_name = "ROLE=N")]
    db_connections: Vec<GivenBudget>,
}

impl ConnectionFlags {
    /// The connections of every role.
    ///
    /// # Errors
    /// When a role has too few.
    pub fn budgets(&self) -> Result<Budgets, Usage> {
        Budgets::with(&self.db_connections)
    }
}

/// The secret that signs tokens, as a flag or from a file.
#[derive(Debug, Clone, Args)]
pub struct TokenSecret {
    /// The secret that signs tokens, at least 32 bytes that cannot be guessed, as `openssl rand -hex 32` makes them.
    #[arg(long, env = "DAYBOOK_SECRET", hide_env_values = true)]
    secret: Option<Secret>,
    /// A file that holds this secret. It is read again on SIGHUP.
    #[arg(long, env = "DAYBOOK_SECRET_FILE", value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl TokenSecret {
    /// The secret, if one is given.
    ///
    /// # Errors
    /// When it is given twice, or its file cannot be read.
    pub fn given(&self) -> anyhow::Result<Option<Secret>> {
        secret("secret", self.secret.as_ref(), self.secret_file.as_deref())
    }
}

impl From<Storefront> for daybook_domain::Storefront {
    fn from(flags: Storefront) -> Self {
        let locations = (!flags.storefront_locations.is_empty()).then_some(flags.storefront_locations);
        Self { channels: flags.storefront_channels, locations }
    }
}

/// The address of a server by its name and its port, such as `shop-1:8080`.
///
/// # Errors
/// When there is no port.
pub fn host_and_port(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match parts.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(1..)) => Ok(text.to_owned()),
        _ => Err("an address is host:port, such as shop-1:8080".to_owned()),
    }
}
