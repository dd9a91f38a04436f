//! Selling a SKU beyond what is on hand, or not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BackordersAllowed, BackordersForbidden, Stock, StockId, claims::check_known};
use crate::{
    Context, Decide, Decision, Reads, Rejection, Streams,
    catalog::SkuRecord,
    ids::{LocationId, Sku},
};

/// Says whether a SKU may be sold beyond what is on hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetBackorders {
    /// The SKU.
    pub sku: Sku,
    /// Where the goods are; `main` when left out.
    #[serde(default)]
    pub location: LocationId,
    /// Whether backorders are on.
    pub allowed: bool,
}

impl Decide for SetBackorders {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<SkuRecord>(&self.sku);
        reads.add::<Stock>(&StockId { sku: self.sku.clone(), location: self.location.clone() });
    }

    fn decide(&self, _context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { sku, location, allowed } = self.clone();
        let id = StockId { sku: sku.clone(), location: location.clone() };
        check_known(&sku, streams)?;
        if allowed == streams.get::<Stock>(&id)?.backorders {
            return Ok(Decision::unchanged());
        }
        Ok(if allowed {
            Decision::of::<Stock>(&id, BackordersAllowed { sku, location })
        } else {
            Decision::of::<Stock>(&id, BackordersForbidden { sku, location })
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::spec::{Book, code, reservation};

    fn reserve(number: u128, quantity: u32) -> Value {
        json!({ "sku": "a", "reservation_id": reservation(number), "owner": "me", "quantity": quantity })
    }

    #[test]
    fn backorders_let_more_be_reserved_than_is_on_hand() {
        let mut book = Book::with_product("a", 1);
        let set = |allowed: bool| json!({ "sku": "a", "allowed": allowed });
        book.given("SetBackorders", set(true)).given("ReserveStock", reserve(1, 4));
        assert_eq!(book.stock("a"), (1, 4));
        assert_eq!(book.when("SetBackorders", set(true)), Ok(vec![]), "they are on already");
        book.given("SetBackorders", set(false));
        assert_eq!(code(book.when("ReserveStock", reserve(2, 1))), "insufficient_stock");
    }
}
