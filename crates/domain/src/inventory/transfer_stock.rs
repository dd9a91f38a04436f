//! Moving goods from one location to another.

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Stock, StockId, StockTransferredIn, StockTransferredOut,
    claims::{check_known, make_room},
};
use crate::{
    Context, Decide, Decision, Quantity, Reads, Rejection, Streams,
    catalog::SkuRecord,
    ids::{LocationId, Sku},
};

/// Moves goods from one location to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferStock {
    /// The SKU.
    pub sku: Sku,
    /// Where the goods are.
    pub from: LocationId,
    /// Where they go.
    pub to: LocationId,
    /// How many; at most what is not reserved.
    pub quantity: Quantity,
}

refusals! {
    /// Goods are moved from one location to another.
    "same_location" SameLocation: Rule at "to" = "goods cannot be transferred from {location} to itself", {
        /// The location.
        location: LocationId,
    }
}

impl Decide for TransferStock {
    fn reads(&self, reads: &mut Reads) {
        let Self { sku, from, to, .. } = self.clone();
        reads.add::<SkuRecord>(&sku);
        reads.add::<Stock>(&StockId { sku: sku.clone(), location: from });
        reads.add::<Stock>(&StockId { sku, location: to });
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { sku, from, to, quantity } = self.clone();
        if from == to {
            return Err(SameLocation { location: from }.into());
        }
        let source = StockId { sku: sku.clone(), location: from.clone() };
        let target = StockId { sku: sku.clone(), location: to.clone() };
        check_known(&sku, streams)?;
        let stock = streams.get::<Stock>(&source)?;
        streams.get::<Stock>(&target)?;
        let released = make_room(stock, &source, quantity.units(), context.now)?;
        let out = StockTransferredOut { sku: sku.clone(), location: from.clone(), to: to.clone(), quantity };
        let into = StockTransferredIn { sku, location: to, from, quantity };
        Ok(Decision::default()
            .and_all::<Stock>(&source, released)
            .and::<Stock>(&source, out)
            .and::<Stock>(&target, into))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::spec::{Book, code, reservation};

    fn transfer(quantity: u32, to: &str) -> Value {
        json!({ "sku": "a", "from": "main", "to": to, "quantity": quantity })
    }

    #[test]
    fn goods_are_moved_within_what_is_free() {
        let mut book = Book::with_product("a", 5);
        book.given(
            "ReserveStock",
            json!({ "sku": "a", "reservation_id": reservation(1), "owner": "me", "quantity": 3 }),
        );
        assert_eq!(code(book.when("TransferStock", transfer(3, "shop"))), "insufficient_stock");
        assert_eq!(code(book.when("TransferStock", transfer(1, "main"))), "same_location");
        let unknown = json!({ "sku": "b", "from": "main", "to": "shop", "quantity": 1 });
        assert_eq!(code(book.when("TransferStock", unknown)), "unknown_sku");
        let moved = vec!["inventory.StockTransferredOut", "inventory.StockTransferredIn"];
        assert_eq!(book.when("TransferStock", transfer(1, "shop")), Ok(moved));
        assert_eq!(book.stock("a"), (4, 3));
    }
}
