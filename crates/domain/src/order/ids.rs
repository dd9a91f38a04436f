//! The ids of orders.

use daybook_kernel::{text, uuid_id};
use uuid::Uuid;

use crate::ids::ReservationOwner;

uuid_id!(
    /// An order.
    OrderId
);
text!(
    /// The id of an order in the system it was imported from; unique in the book.
    ExternalRef, 1..=128, Code
);

/// The namespace of ids of imported orders (a random UUID, fixed for ever).
const IMPORTED_ORDERS: Uuid = Uuid::from_u128(0x6f1d_52c1_8f0e_4f0b_9a59_2d1c_7a6b_3e84);

impl OrderId {
    /// The id of the order that was imported under this reference: the same wherever and whenever it is imported.
    #[must_use]
    pub fn imported(reference: &ExternalRef) -> Self {
        Self(Uuid::new_v5(&IMPORTED_ORDERS, reference.as_str().as_bytes()))
    }

    /// How this order signs the reservations that it holds.
    #[must_use]
    pub fn reservation_owner(&self) -> ReservationOwner {
        ReservationOwner::of_order(self)
    }
}
