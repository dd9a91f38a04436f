//! Taking goods in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Stock, StockId, StockReceived, claims::check_known};
use crate::{
    Context, Decide, Decision, Quantity, Reads, Rejection, Streams,
    catalog::SkuRecord,
    ids::{LocationId, Sku},
    text::Reason,
};

/// Takes in goods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiveStock {
    /// The SKU; it must be known to the catalog.
    pub sku: Sku,
    /// Where the goods are; `main` when left out.
    #[serde(default)]
    pub location: LocationId,
    /// How many came in.
    pub quantity: Quantity,
    /// What they came with, such as a delivery note.
    #[serde(default)]
    pub reference: Option<Reason>,
}

impl Decide for ReceiveStock {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<SkuRecord>(&self.sku);
        reads.add::<Stock>(&StockId { sku: self.sku.clone(), location: self.location.clone() });
    }

    fn decide(&self, _context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { sku, location, quantity, reference } = self.clone();
        let id = StockId { sku: sku.clone(), location: location.clone() };
        check_known(&sku, streams)?;
        streams.get::<Stock>(&id)?;
        Ok(Decision::of::<Stock>(&id, StockReceived { sku, location, quantity, reference }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::spec::{Book, code};

    #[test]
    fn only_goods_that_the_catalog_knows_are_taken_in() {
        let mut book = Book::with_product("a", 3);
        book.given("ReceiveStock", json!({ "sku": "a", "quantity": 2 }));
        assert_eq!(book.stock("a"), (5, 0));
        assert_eq!(code(book.when("ReceiveStock", json!({ "sku": "b", "quantity": 2 }))), "unknown_sku");
    }
}
