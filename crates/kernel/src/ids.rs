//! Identities: every id has a type, so that a cart's id is never mistaken for an order's.
//!
//! A slice declares its ids in its own folder, with [`uuid_id!`](crate::uuid_id) and [`text!`](crate::text!). Here is only the id that
//! an [actor](crate::Actor) may have, and the rules for ids that callers choose.

use serde::{Deserialize, Deserializer, de};
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

        impl ::std::convert::From<::uuid::Uuid> for $name {
            fn from(id: ::uuid::Uuid) -> Self {
                Self(id)
            }
        }

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

/// The form of an id that [`unguessable`] accepts, as a regular expression of JSON Schema.
pub const UNGUESSABLE: &str =
    "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[47][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$";

/// Reads the id of a new thing that buyers touch. It is a UUID of version 4 or 7 (RFC 9562). So no caller can take an id that the
/// engine derives, which has version 5: that of an imported order can be computed by everybody.
///
/// # Errors
/// The deserialiser's, for another version, the nil and the max UUID included.
pub fn unguessable<'de, D: Deserializer<'de>, I: From<Uuid>>(deserializer: D) -> Result<I, D::Error> {
    let id = Uuid::deserialize(deserializer)?;
    if is_unguessable(id) {
        return Ok(id.into());
    }
    Err(de::Error::custom(format!("{id} is not an id to choose: a new id is a random UUID, of version 4 or 7")))
}

/// Whether an id is a UUID of version 4 or 7.
#[must_use]
pub fn is_unguessable(id: Uuid) -> bool {
    matches!(id.get_version_num(), 4 | 7) && id.get_variant() == uuid::Variant::RFC4122
}

/// Reads the id of a new thing that only the staff makes, such as a product. Imports derive it, so it has any version; but the nil
/// and the max UUID are no ids.
///
/// # Errors
/// The deserialiser's, for the nil and the max UUID.
pub fn real<'de, D: Deserializer<'de>, I: From<Uuid>>(deserializer: D) -> Result<I, D::Error> {
    let id = Uuid::deserialize(deserializer)?;
    if is_real(id) {
        return Ok(id.into());
    }
    Err(de::Error::custom("the nil and the max UUID are no ids"))
}

/// Whether an id is neither the nil nor the max UUID. Libraries send these where nobody has set an id.
#[must_use]
pub const fn is_real(id: Uuid) -> bool {
    !id.is_nil() && !id.is_max()
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
