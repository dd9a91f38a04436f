//! Configuration: every value is a flag and an environment variable, and can be set in a [`file`].

pub mod file;
pub mod limits;

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use daybook_domain::ids::{Channel, LocationId};
use daybook_query_api::TimeZone;

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
