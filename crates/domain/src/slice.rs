//! Slices: the parts of the business. A slice keeps one name in every crate, in topics and in schemas.

use std::fmt;

use serde::Serialize;

/// A part of the business with its own vocabulary, streams and topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Slice {
    /// Products, variants, prices, categories.
    Catalog,
    /// Stock and reservations.
    Inventory,
    /// Carts.
    Cart,
    /// Orders, and the checkout that places them.
    Order,
}

impl Slice {
    /// Every slice there is.
    pub const ALL: [Self; 4] = [Self::Catalog, Self::Inventory, Self::Cart, Self::Order];

    /// Its name in topics, schemas and paths.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Inventory => "inventory",
            Self::Cart => "cart",
            Self::Order => "order",
        }
    }

    /// The prefixes of its streams: the part of a stream's name before the first `-`.
    #[must_use]
    pub const fn stream_prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Catalog => &["product", "category", "sku", "slug"],
            Self::Inventory => &["stock"],
            Self::Cart => &["cart"],
            Self::Order => &["order"],
        }
    }

    /// The slice that a stream belongs to; `None` for a name that no slice uses.
    #[must_use]
    pub fn of_stream(stream: &str) -> Option<Self> {
        let (prefix, _) = stream.split_once('-')?;
        Self::ALL.into_iter().find(|slice| slice.stream_prefixes().contains(&prefix))
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
