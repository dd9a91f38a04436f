//! The owner of an order.

use daybook_kernel::refusals;

use super::{Order, OrderNotFound};
use crate::{
    Owner, Refusal,
    access::Owned,
    ids::{CustomerId, OrderId},
};

refusals! {
    /// The order belongs to another customer, or to staff only.
    "order_not_yours" OrderNotYours: Forbidden at "order_id"
        = "order {order_id} belongs to another customer, or to staff only", {
        /// The order.
        order_id: OrderId,
    }
}

/// The owner of an order, by its customer. A guest's order belongs to the bearer of its id. The id of an imported order derives
/// from its reference and can be guessed, so an imported order without a customer belongs to staff. Decisions and queries share
/// this rule.
#[must_use]
pub const fn owner(customer_id: Option<CustomerId>, is_imported: bool) -> Owner {
    match customer_id {
        Some(customer_id) => Owner::Customer(customer_id),
        None if is_imported => Owner::Staff,
        None => Owner::Bearer,
    }
}

impl Owned for Order {
    fn owner(&self) -> Owner {
        match self {
            Self::Absent => Owner::Bearer,
            Self::Existing(order) => owner(order.customer_id, order.external_ref.is_some()),
        }
    }

    /// The id of an imported order can be computed, so the refusal does not say that there is such an order.
    fn not_yours(&self, order_id: &OrderId) -> Refusal {
        let order_id = *order_id;
        if self.record().is_some_and(|order| order.external_ref.is_some()) {
            OrderNotFound { order_id }.into()
        } else {
            OrderNotYours { order_id }.into()
        }
    }
}
