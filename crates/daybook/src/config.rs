//! Configuration: every value is a flag and an environment variable, and may stand in a [`file`].

pub mod file;
pub mod limits;

use clap::Args;
use daybook_domain::ids::{Channel, LocationId};

/// What guests and customers may buy.
#[derive(Debug, Clone, Args)]
pub struct Storefront {
    /// The channels that guests and customers may open carts in; staff may name any.
    #[arg(long, env = "DAYBOOK_STOREFRONT_CHANNELS", value_delimiter = ',', default_value = "web")]
    pub storefront_channels: Vec<Channel>,
    /// The locations that guests and customers may have goods sent from; any when left out.
    #[arg(long, env = "DAYBOOK_STOREFRONT_LOCATIONS", value_delimiter = ',')]
    pub storefront_locations: Vec<LocationId>,
}

impl From<Storefront> for daybook_domain::Storefront {
    fn from(flags: Storefront) -> Self {
        let locations = (!flags.storefront_locations.is_empty()).then_some(flags.storefront_locations);
        Self { channels: flags.storefront_channels, locations }
    }
}
