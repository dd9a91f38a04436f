//! The ids of the catalog, and the channels that prices hold in.

use daybook_kernel::{text, uuid_id};

uuid_id!(
    /// A product: what is described and published; it is sold as variants.
    ProductId
);
uuid_id!(
    /// A node of the category tree.
    CategoryId
);
text!(
    /// A stock keeping unit: the code of one sellable variant, its own for ever. It may hold what other systems print.
    Sku, 1..=64, Code
);
text!(
    /// A sales channel: a web shop, a store, a marketplace. Prices may differ between channels.
    Channel, 1..=64, Token
);

impl Default for Channel {
    /// `web`, the channel of a shop that has one.
    fn default() -> Self {
        Self("web".into())
    }
}
