//! Quantities of goods.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// How many units of a SKU a command moves: 1 to [`Quantity::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Quantity(u32);

/// The number is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a quantity is a whole number from 1 to {max}", max = Quantity::MAX)]
pub struct NotAQuantity;

impl Quantity {
    /// The largest quantity of one command. Real orders hold some tens of thousands (fuel by the decilitre); ten
    /// million keeps a sum over the lines of the largest cart within `u64`, and over a lifetime of stock within `i64`.
    pub const MAX: u32 = 10_000_000;

    /// One unit.
    pub const ONE: Self = Self(1);

    /// A quantity of `units`.
    ///
    /// # Errors
    /// [`NotAQuantity`] outside 1 to [`Quantity::MAX`].
    pub fn new(units: i64) -> Result<Self, NotAQuantity> {
        match u32::try_from(units) {
            Ok(units @ 1..=Self::MAX) => Ok(Self(units)),
            _ => Err(NotAQuantity),
        }
    }

    /// The number of units.
    #[must_use]
    pub const fn units(self) -> u32 {
        self.0
    }

    /// The number of units, for sums that may be negative.
    #[must_use]
    pub fn signed(self) -> i64 {
        i64::from(self.0)
    }

    /// The sum of two quantities.
    ///
    /// # Errors
    /// [`NotAQuantity`] above [`Quantity::MAX`].
    pub fn plus(self, other: Self) -> Result<Self, NotAQuantity> {
        Self::new(self.signed() + other.signed())
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": Self::MAX})
    }
}
