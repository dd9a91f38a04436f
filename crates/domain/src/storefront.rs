//! What the storefront serves: the channels and the locations that buyers may name.

use crate::{
    Actor,
    ids::{Channel, LocationId},
    order::policy::locations_of,
};

/// What the storefront serves. A channel is a price list and a location is a warehouse, so buyers may not choose them freely.
/// Staff may name any. By default the storefront serves the channel `web`, from any location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storefront {
    /// The channels that buyers may open carts in.
    pub channels: Vec<Channel>,
    /// The locations that buyers may have goods sent from; any location when absent.
    pub locations: Option<Vec<LocationId>>,
}

impl Default for Storefront {
    fn default() -> Self {
        Self { channels: vec![Channel::default()], locations: None }
    }
}

impl Storefront {
    /// The channel that is meant where none is named: the first that is served.
    #[must_use]
    pub fn default_channel(&self) -> Channel {
        self.channels.first().cloned().unwrap_or_default()
    }

    /// Whether goods may come from a location for an actor. Staff may name any.
    #[must_use]
    pub fn serves(&self, actor: &Actor, location: &LocationId) -> bool {
        !actor.is_buyer() || self.locations.as_ref().is_none_or(|served| served.contains(location))
    }

    /// Where the goods of an order of so many lines come from when the order names no location: from the locations that the storefront
    /// serves, or from `main` where it serves any. The last ones are left out when an order would read too many streams with them.
    #[must_use]
    pub fn locations_for(&self, lines: usize) -> Vec<LocationId> {
        let served = self.locations.clone().filter(|served| !served.is_empty());
        let mut locations = served.unwrap_or_else(|| vec![LocationId::default()]);
        locations.truncate(locations_of(lines));
        locations
    }
}
