//! The owner of a cart.

use daybook_kernel::refusals;

use super::{Cart, OpenedCart};
use crate::{
    Owner, Refusal,
    access::Owned,
    ids::{CartId, CustomerId},
};

refusals! {
    /// The cart belongs to another customer.
    "cart_not_yours" CartNotYours: Forbidden at "cart_id" = "cart {cart_id} belongs to another customer", {
        /// The cart.
        cart_id: CartId,
    }
}

/// The owner of a cart, by its customer. A guest's cart belongs to the bearer of its id. Decisions and queries share this rule.
#[must_use]
pub fn owner(customer_id: Option<CustomerId>) -> Owner {
    customer_id.map_or(Owner::Bearer, Owner::Customer)
}

impl Owned for Cart {
    fn owner(&self) -> Owner {
        match self {
            Self::Absent => Owner::Bearer,
            Self::Open(OpenedCart { customer_id, .. })
            | Self::CheckedOut { customer_id, .. }
            | Self::Merged { customer_id, .. }
            | Self::Abandoned { customer_id }
            | Self::Expired { customer_id, .. } => owner(*customer_id),
        }
    }

    fn not_yours(&self, cart_id: &CartId) -> Refusal {
        CartNotYours { cart_id: *cart_id }.into()
    }
}
