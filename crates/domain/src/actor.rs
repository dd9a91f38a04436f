//! Who acts: the role and identity on whose authority a command is decided.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::CustomerId;

/// What somebody may do. Which commands a role may send stands beside each command in [`command`](crate::command).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Nobody in particular: a visitor of the storefront. May use carts and orders that belong to no customer.
    Guest,
    /// A known customer: touches only what is theirs.
    Customer,
    /// Back-office staff who look after orders.
    Support,
    /// Runs the shop.
    Admin,
}

impl Role {
    /// Its name in tokens and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Customer => "customer",
            Self::Support => "support",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role; the roles are guest, customer, support and admin")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Guest, Self::Customer, Self::Support, Self::Admin]
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| UnknownRole(text.to_owned()))
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
        }
    }

    /// Whether this actor may see and touch what belongs to `owner`; `None` is what belongs to no customer, where
    /// knowing the unguessable id is the permission.
    #[must_use]
    pub fn may_touch(&self, owner: Option<&CustomerId>) -> bool {
        match (self, owner) {
            (Self::Support(_) | Self::Admin(_), _) | (_, None) => true,
            (Self::Customer(me), Some(owner)) => me == owner,
            (Self::Guest, Some(_)) => false,
        }
    }
}

impl fmt::Display for Actor {
    /// `role` or `role:name`, as it stands beside every event in the book.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest => f.write_str("guest"),
            Self::Customer(id) => write!(f, "customer:{id}"),
            Self::Support(name) => write!(f, "support:{name}"),
            Self::Admin(name) => write!(f, "admin:{name}"),
        }
    }
}
