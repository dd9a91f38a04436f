//! What the storefront serves: which channels those without a role in the shop may buy in, and from which locations. A channel is
//! a price list and a location is a warehouse, so neither is theirs to choose freely. Staff may name any.

use daybook_domain::{
    Command, Role,
    ids::{Channel, LocationId},
};
use daybook_edge::problem::Problem;

use super::problem::not_served;

/// A setting of the shop. By default the storefront serves the channel `web`, from any location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storefront {
    /// The channels that guests and customers may open carts in.
    pub channels: Vec<Channel>,
    /// The locations that they may have goods sent from; all there are when absent.
    pub locations: Option<Vec<LocationId>>,
}

impl Default for Storefront {
    fn default() -> Self {
        Self { channels: vec![Channel::default()], locations: None }
    }
}

impl Storefront {
    /// Whether somebody of this role may name what the command names.
    pub(super) fn check(&self, command: &Command, role: Role) -> Result<(), Problem> {
        match (role, command) {
            (Role::Support | Role::Admin, _) => Ok(()),
            (Role::Guest | Role::Customer, Command::OpenCart(open)) => self.check_channel(&open.channel),
            (Role::Guest | Role::Customer, Command::PlaceOrder(place)) => self.check_locations(&place.locations),
            (Role::Guest | Role::Customer, _) => Ok(()),
        }
    }

    fn check_channel(&self, channel: &Channel) -> Result<(), Problem> {
        if self.channels.contains(channel) {
            return Ok(());
        }
        let served = self.channels.iter().map(Channel::as_str).collect();
        Err(not_served("channel", channel.as_str(), served, "/channel".to_owned()))
    }

    fn check_locations(&self, named: &[LocationId]) -> Result<(), Problem> {
        let Some(served) = &self.locations else { return Ok(()) };
        match named.iter().enumerate().find(|(_, location)| !served.contains(location)) {
            None => Ok(()),
            Some((index, location)) => {
                let served = served.iter().map(LocationId::as_str).collect();
                Err(not_served("location", location.as_str(), served, format!("/locations/{index}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn command(name: &str, body: serde_json::Value) -> Command {
        Command::deserialize(name, body).expect("there is such a command").expect("the body is right")
    }

    fn open(channel: &str) -> Command {
        command(
            "OpenCart",
            json!({ "cart_id": "018f0000-0000-7000-8000-000000000000", "channel": channel, "currency": "EUR" }),
        )
    }

    fn place(locations: &[&str]) -> Command {
        let id = "018f0000-0000-7000-8000-000000000000";
        command("PlaceOrder", json!({ "cart_id": id, "order_id": id, "locations": locations }))
    }

    #[test]
    fn buyers_have_the_channels_and_locations_of_the_storefront_and_staff_has_all() {
        let berlin = LocationId::new("berlin").expect("a location");
        let storefront = Storefront { locations: Some(vec![LocationId::default(), berlin]), ..Storefront::default() };
        for role in [Role::Guest, Role::Customer] {
            for served in [open("web"), place(&["main"]), place(&["berlin", "main"])] {
                storefront.check(&served, role).expect("it is served");
            }
            let problem = storefront.check(&open("b2b"), role).expect_err("it is not served");
            assert_eq!((&*problem.code, problem.pointer.as_deref()), ("channel_not_served", Some("/channel")));
            assert_eq!(problem.data["served"], json!(["web"]));
            let problem = storefront.check(&place(&["main", "outlet"]), role).expect_err("it is not served");
            assert_eq!((&*problem.code, problem.pointer.as_deref()), ("location_not_served", Some("/locations/1")));
            Storefront::default().check(&place(&["outlet"]), role).expect("where no location is set, all are served");
        }
        for role in [Role::Support, Role::Admin] {
            storefront.check(&open("b2b"), role).expect("staff may name any");
            storefront.check(&place(&["outlet"]), role).expect("staff may name any");
        }
    }
}
