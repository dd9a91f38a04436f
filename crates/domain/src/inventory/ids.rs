//! The ids of stock and of the claims on it.

use std::fmt;

use daybook_kernel::{text, uuid_id};

uuid_id!(
    /// A claim on stock, held by its owner until it is committed, released or expires.
    ReservationId
);
text!(
    /// A place that holds stock: a warehouse, a shop.
    LocationId, 1..=64, Token
);
text!(
    /// Who holds a reservation: `order:<id>`, or a name the caller chooses.
    ReservationOwner, 1..=128, Token
);

impl Default for LocationId {
    /// `main`, the location of a shop that has one.
    fn default() -> Self {
        Self("main".into())
    }
}

/// How the owner of an order's reservations begins.
const ORDER: &str = "order:";

impl ReservationOwner {
    /// The order of this id, as the owner of its reservations.
    pub(crate) fn of_order(id: impl fmt::Display) -> Self {
        Self(format!("{ORDER}{id}").into())
    }

    /// Whether an order holds it.
    #[must_use]
    pub fn is_order(&self) -> bool {
        self.as_str().starts_with(ORDER)
    }
}
