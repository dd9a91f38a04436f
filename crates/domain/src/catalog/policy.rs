//! Every limit and lifetime of the catalog.

use chrono::TimeDelta;

use crate::MAX_STREAMS;

/// The most variants of one product.
pub const MAX_VARIANTS: usize = 250;
/// The most prices that a new variant brings along.
pub const MAX_NEW_PRICES: usize = 10;
/// The most categories that one product stands in.
pub const MAX_CATEGORIES: usize = 100;
/// The most attributes of one product.
pub const MAX_ATTRIBUTES: usize = 100;
/// The most options of one variant.
pub const MAX_OPTIONS: usize = 20;
/// The most bytes of the name and the options of one variant together, as JSON. So an order can keep them with every line.
pub const MAX_VARIANT_BYTES: usize = 640;
/// The highest price of one unit, in minor units. Times the largest quantity it still fits 64 bits.
pub const MAX_PRICE: i64 = 100_000_000_000;
/// The last number behind a slug that is made from a name.
pub const LAST_SUFFIX: u8 = 9;
/// How deep categories may nest.
pub const MAX_CATEGORY_DEPTH: usize = 32;
/// The period before a reduction whose lowest price is shown (Directive 98/6/EC, article 6a).
/// [`PriceList::prior_price`](super::PriceList::prior_price) computes it.
pub const LOWEST_PRICE_PERIOD: TimeDelta = TimeDelta::days(30);
/// The most changes that the history of a price keeps. With more, the oldest become one.
pub const MAX_PRICE_CHANGES: usize = 500;
/// The most changes that the history of a sale keeps.
pub const MAX_SALE_CHANGES: usize = 200;
/// For how long an old slug leads to its product, which nobody else may take in this time. Search engines advise to keep redirects
/// for a year at least.
pub const OLD_SLUG_LIFETIME: TimeDelta = TimeDelta::days(365);

// To create a product reads the product, its categories, the SKUs of its variants, and the slugs that its name can have: the own one, those
// with a number, and the one with the id.
const _: () = assert!(2 + LAST_SUFFIX as usize + MAX_CATEGORIES + MAX_VARIANTS <= MAX_STREAMS);

/// What JSON Schema says of the keys of attributes and options.
pub(super) fn keys() -> serde_json::Value {
    serde_json::json!({ "minLength": 1, "maxLength": crate::text::Name::MAX })
}
