//! Events: what has happened, in the past tense, as it is written in the book and published on the wire.
//!
//! The stored form is the public form: business fields at the top level of one JSON object, type and schema version
//! beside it. So it is a contract: names are pinned by a test, schemas are generated into `schemas/events/`, and a change
//! that would break a reader needs a new version and an [upcaster](Event::decode).

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::Serialize;

use crate::{Slice, cart::event::*, catalog::event::*, inventory::event::*, order::event::*};

/// Why stored bytes are not an event of this domain. It means that the book is newer than the program, or damaged.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No event has this name.
    #[error("there is no event type `{0}`")]
    UnknownType(String),
    /// The type exists, but not in this version.
    #[error("event type `{event_type}` has no schema version {schema_version}")]
    UnknownVersion {
        /// The name of the type.
        event_type: String,
        /// The version that was asked for.
        schema_version: u16,
    },
    /// The JSON does not have the fields of the type.
    #[error("`{event_type}` does not have the form of its schema: {source}")]
    Form {
        /// The name of the type.
        event_type: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The public description of an event type.
#[derive(Debug, Clone)]
pub struct EventContract {
    /// The slice it belongs to.
    pub slice: Slice,
    /// The name of the type, such as `OrderPlaced`.
    pub event_type: &'static str,
    /// The current schema version, from 1.
    pub schema_version: u16,
    /// Its JSON Schema (2020-12).
    pub schema: Schema,
}

/// Lists every event once, by slice and with its current schema version; the rest of this module follows from the list.
macro_rules! events {
    ($($slice:ident { $($name:ident = $version:literal),* $(,)? })*) => {
        /// Anything that can happen.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Event {
            $($(
                #[doc = concat!("See [`", stringify!($name), "`].")]
                $name($name),
            )*)*
        }

        impl Event {
            /// The name of its type, as stored and published.
            #[must_use]
            pub const fn type_name(&self) -> &'static str {
                match self { $($(Self::$name(_) => stringify!($name),)*)* }
            }

            /// The version of its schema.
            #[must_use]
            pub const fn schema_version(&self) -> u16 {
                match self { $($(Self::$name(_) => $version,)*)* }
            }

            /// The slice it belongs to.
            #[must_use]
            pub const fn slice(&self) -> Slice {
                match self { $($(Self::$name(_) => Slice::$slice,)*)* }
            }

            /// Reads an event as it was stored. Versions before the current one would be upcast here; there are none yet.
            ///
            /// # Errors
            /// [`DecodeError`] when this program does not know the type or version, or the JSON has another form.
            pub fn decode(event_type: &str, schema_version: u16, data: &[u8]) -> Result<Self, DecodeError> {
                let form = |source| DecodeError::Form { event_type: event_type.to_owned(), source };
                match (event_type, schema_version) {
                    $($(
                        (stringify!($name), $version) => serde_json::from_slice(data).map(Self::$name).map_err(form),
                    )*)*
                    $($((stringify!($name), _) => {
                        Err(DecodeError::UnknownVersion { event_type: event_type.to_owned(), schema_version })
                    })*)*
                    _ => Err(DecodeError::UnknownType(event_type.to_owned())),
                }
            }

            /// The contracts of every event type, in the order of the list.
            #[must_use]
            pub fn contracts() -> Vec<EventContract> {
                vec![$($(EventContract {
                    slice: Slice::$slice,
                    event_type: stringify!($name),
                    schema_version: $version,
                    schema: schema_of::<$name>(),
                },)*)*]
            }
        }

        $($(
            impl From<$name> for Event {
                fn from(event: $name) -> Self {
                    Self::$name(event)
                }
            }
        )*)*
    };
}

events! {
    Catalog {
        ProductCreated = 1,
        ProductRevised = 1,
        VariantAdded = 1,
        ProductPublished = 1,
        ProductArchived = 1,
        SkuClaimed = 1,
        PriceSet = 1,
        SlugClaimed = 1,
        SlugReleased = 1,
        CategoryCreated = 1,
        CategoryMoved = 1,
    }
    Inventory {
        StockReceived = 1,
        StockAdjusted = 1,
        StockReserved = 1,
        ReservationReleased = 1,
        ReservationCommitted = 1,
        StockTransferredOut = 1,
        StockTransferredIn = 1,
        BackordersAllowed = 1,
        BackordersForbidden = 1,
    }
    Cart {
        CartOpened = 1,
        LineAdded = 1,
        QuantityChanged = 1,
        LineRemoved = 1,
        CartMerged = 1,
        CartMergedInto = 1,
        CartAbandoned = 1,
        CartCheckedOut = 1,
    }
    Order {
        OrderPlaced = 1,
        OrderImported = 1,
        OrderConfirmed = 1,
        OrderHeld = 1,
        OrderResumed = 1,
        FulfilmentStarted = 1,
        OrderShipped = 1,
        OrderDelivered = 1,
        OrderCancelled = 1,
        OrderReturned = 1,
        OrderRefunded = 1,
        NoteAdded = 1,
    }
}

impl Event {
    /// The event as it is stored: one JSON object.
    ///
    /// # Errors
    /// None for the types of this domain, whose keys are texts; the signature is serde's.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// The JSON Schema of a type, with its definitions inside, so that each file stands on its own.
pub(crate) fn schema_of<T: JsonSchema>() -> Schema {
    SchemaGenerator::new(SchemaSettings::draft2020_12()).into_root_schema_for::<T>()
}
