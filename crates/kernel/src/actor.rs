//! Actors: the role and the identity on whose authority a command is decided, and the owners of what actors touch.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::CustomerId;

/// A role. Which commands it may send is declared beside each command, in the slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A visitor of the storefront without a login. May use carts and orders that belong to the bearer of their id.
    Guest,
    /// A known customer: touches only what is theirs.
    Customer,
    /// Back-office staff who look after orders.
    Support,
    /// Runs the shop.
    Admin,
    /// The engine itself: a reactor that answers an event, or a timer. No token carries it.
    System,
}

impl Role {
    /// Every role that a token may carry.
    pub const OF_TOKENS: [Self; 4] = [Self::Guest, Self::Customer, Self::Support, Self::Admin];
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Guest, Self::Customer, Self::Support, Self::Admin, Self::System];

    /// Its name in tokens and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Customer => "customer",
            Self::Support => "support",
            Self::Admin => "admin",
            Self::System => "system",
        }
    }

    /// Whether it buys, rather than works for the shop.
    #[must_use]
    pub const fn is_buyer(self) -> bool {
        matches!(self, Self::Guest | Self::Customer)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text does not name a role that a token may carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role of tokens; these are guest, customer, support and admin")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::OF_TOKENS.into_iter().find(|role| role.name() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// Who sends a command.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A visitor of the storefront without a login.
    Guest,
    /// A customer.
    Customer(CustomerId),
    /// A member of staff, by name.
    Support(String),
    /// An administrator, by name, or a tool of theirs such as `import`.
    Admin(String),
    /// The engine itself, by the name of the part that acts, such as `expiry`.
    System(&'static str),
}

impl Actor {
    /// The role of this actor.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self {
            Self::Guest => Role::Guest,
            Self::Customer(_) => Role::Customer,
            Self::Support(_) => Role::Support,
            Self::Admin(_) => Role::Admin,
            Self::System(_) => Role::System,
        }
    }

    /// The customer who acts, if a customer acts.
    #[must_use]
    pub const fn customer(&self) -> Option<CustomerId> {
        match self {
            Self::Customer(id) => Some(*id),
            _ => None,
        }
    }

    /// Whether this actor buys, rather than works for the shop: a guest or a customer.
    #[must_use]
    pub const fn is_buyer(&self) -> bool {
        self.role().is_buyer()
    }

    /// Whether this actor may see and touch what belongs to an owner. The shop's own actors may touch everything.
    #[must_use]
    pub fn may_touch(&self, owner: Owner) -> bool {
        !self.is_buyer()
            || match owner {
                Owner::Customer(customer_id) => self.customer() == Some(customer_id),
                Owner::Bearer => true,
                Owner::Staff => false,
            }
    }
}

/// The owner of a cart, an order, or another thing that buyers touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A customer. No other buyer may touch the thing.
    Customer(CustomerId),
    /// The bearer of the id. The id cannot be guessed, so knowledge of the id is the permission.
    Bearer,
    /// The staff. No buyer may touch the thing.
    Staff,
}

impl fmt::Display for Actor {
    /// `role` or `role:name`, as it stands beside every event in the book.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest => f.write_str("guest"),
            Self::Customer(id) => write!(f, "customer:{id}"),
            Self::Support(name) => write!(f, "support:{name}"),
            Self::Admin(name) => write!(f, "admin:{name}"),
            Self::System(name) => write!(f, "system:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_buyer_touches_what_is_theirs_and_what_belongs_to_the_bearer() {
        let (own, other) = (CustomerId(Uuid::from_u128(1)), CustomerId(Uuid::from_u128(2)));
        let owners = [Owner::Customer(own), Owner::Customer(other), Owner::Bearer, Owner::Staff];
        for (actor, expected) in [
            (Actor::Guest, [false, false, true, false]),
            (Actor::Customer(own), [true, false, true, false]),
            (Actor::Support("sue".into()), [true; 4]),
            (Actor::Admin("ada".into()), [true; 4]),
            (Actor::System("expiry"), [true; 4]),
        ] {
            assert_eq!(owners.map(|owner| actor.may_touch(owner)), expected, "{actor}");
        }
    }
}
