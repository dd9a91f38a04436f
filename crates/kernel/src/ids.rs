//! Identities: every id has a type, so that a cart's id is never mistaken for an order's.
//!
//! A slice declares its ids in its own folder, with [`uuid_id!`](crate::uuid_id) and [`text!`](crate::text!). Here is only the id that
//! an [actor](crate::Actor) may have.

use uuid::Uuid;

use crate::text;

/// Declares an id that is a UUID.
///
/// ```
/// daybook_kernel::uuid_id!(
///     /// A gift card.
///     GiftCardId
/// );
///
/// let id: GiftCardId = "0192f0c1-2b7e-7000-8000-000000000001".parse()?;
/// assert_eq!(id.to_string(), "0192f0c1-2b7e-7000-8000-000000000001");
/// # Ok::<(), uuid::Error>(())
/// ```
#[macro_export]
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub ::uuid::Uuid);

        impl $crate::Scalar for $name {
            type Value = ::uuid::Uuid;

            fn value(&self) -> &::uuid::Uuid {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = ::uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_id!(
    /// A customer.
    CustomerId
);

text!(
    /// The id of a customer in the system that they were imported from.
    CustomerRef, 1..=64, Code
);

/// The namespace of ids of imported customers (a random UUID, fixed for ever).
const IMPORTED_CUSTOMERS: Uuid = Uuid::from_u128(0x0c5b_8a3e_64d7_4f12_b1a9_7e20_d93f_58c6);

impl CustomerId {
    /// The id of the customer who was imported under this reference: the same wherever and whenever it is imported.
    #[must_use]
    pub fn imported(reference: &CustomerRef) -> Self {
        Self(Uuid::new_v5(&IMPORTED_CUSTOMERS, reference.as_str().as_bytes()))
    }
}
