//! Identities: every id has a type, so that a cart's id is never taken for an order's.

use uuid::Uuid;

use crate::text::text;

/// Declares an id that is a UUID.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub uuid::Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_id!(
    /// A product: what is described and published; it is sold as variants.
    ProductId
);
uuid_id!(
    /// A node of the category tree.
    CategoryId
);
uuid_id!(
    /// A cart.
    CartId
);
uuid_id!(
    /// An order.
    OrderId
);
uuid_id!(
    /// A claim on stock, held by its owner until it is committed, released or expires.
    ReservationId
);
uuid_id!(
    /// A customer.
    CustomerId
);

text!(
    /// A stock keeping unit: the code of one sellable variant, its own for ever.
    Sku, 1..=64, Token
);
text!(
    /// A place that holds stock: a warehouse, a shop.
    LocationId, 1..=64, Token
);
text!(
    /// A sales channel: a web shop, a store, a marketplace. Prices may differ between channels.
    Channel, 1..=64, Token
);
text!(
    /// The id of a customer in the system that they were imported from.
    CustomerRef, 1..=64, Token
);
text!(
    /// The id of an order in the system it was imported from; unique in the book.
    ExternalRef, 1..=128, Token
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

impl Default for Channel {
    /// `web`, the channel of a shop that has one.
    fn default() -> Self {
        Self("web".into())
    }
}

impl ReservationOwner {
    /// Whether an order holds it.
    #[must_use]
    pub fn is_order(&self) -> bool {
        self.as_str().starts_with(ORDER)
    }
}

/// How the owner of an order's reservations begins.
const ORDER: &str = "order:";
/// The namespace of ids of imported orders (a random UUID, fixed for ever).
const IMPORTED_ORDERS: Uuid = Uuid::from_u128(0x6f1d_52c1_8f0e_4f0b_9a59_2d1c_7a6b_3e84);
/// The namespace of ids of imported customers (a random UUID, fixed for ever).
const IMPORTED_CUSTOMERS: Uuid = Uuid::from_u128(0x0c5b_8a3e_64d7_4f12_b1a9_7e20_d93f_58c6);

impl CustomerId {
    /// The id of the customer who was imported under this reference: the same wherever and whenever it is imported.
    #[must_use]
    pub fn imported(reference: &CustomerRef) -> Self {
        Self(Uuid::new_v5(&IMPORTED_CUSTOMERS, reference.as_str().as_bytes()))
    }
}

impl OrderId {
    /// The id of the order that was imported under this reference: the same wherever and whenever it is imported.
    #[must_use]
    pub fn imported(reference: &ExternalRef) -> Self {
        Self(Uuid::new_v5(&IMPORTED_ORDERS, reference.as_str().as_bytes()))
    }

    /// How this order signs the reservations that it holds.
    #[must_use]
    pub fn reservation_owner(&self) -> ReservationOwner {
        ReservationOwner(format!("{ORDER}{self}").into())
    }
}
