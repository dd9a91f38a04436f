//! Correcting what is on hand.

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Stock, StockAdjusted, StockId,
    claims::{check_known, check_on_hand, make_room},
    policy::MAX_DELTA,
};
use crate::{
    Context, Decide, Decision, Reads, Rejection, Streams,
    catalog::SkuRecord,
    ids::{LocationId, Sku},
    text::Reason,
};

/// Corrects what is on hand: a count, breakage, theft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustStock {
    /// The SKU.
    pub sku: Sku,
    /// Where the goods are; `main` when left out.
    #[serde(default)]
    pub location: LocationId,
    /// How many more (or, negative, fewer) there are than the book says; not zero, at most ten million.
    #[schemars(range(min = -i64::from(MAX_DELTA), max = MAX_DELTA))]
    pub delta: i32,
    /// Why.
    pub reason: Reason,
}

refusals! {
    /// An adjustment is between minus and plus ten million, and not zero.
    "delta_out_of_range" DeltaOutOfRange: Rule at "delta" = "an adjustment is not zero and at most {limit} either way", {
        /// The limit.
        limit: u32,
    }
}

impl Decide for AdjustStock {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<SkuRecord>(&self.sku);
        reads.add::<Stock>(&StockId { sku: self.sku.clone(), location: self.location.clone() });
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { sku, location, delta, reason } = self.clone();
        if delta == 0 || delta.unsigned_abs() > MAX_DELTA {
            return Err(DeltaOutOfRange { limit: MAX_DELTA }.into());
        }
        let id = StockId { sku: sku.clone(), location: location.clone() };
        check_known(&sku, streams)?;
        let stock = streams.get::<Stock>(&id)?;
        let mut events = Vec::new();
        if delta < 0 && stock.backorders {
            check_on_hand(stock, &id, delta.unsigned_abs())?;
        } else if delta < 0 {
            events = make_room(stock, &id, delta.unsigned_abs(), context.now)?;
        }
        events.push(StockAdjusted { sku, location, delta, reason }.into());
        Ok(Decision::default().and_all::<Stock>(&id, events))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        inventory::policy::MAX_DELTA,
        spec::{Book, code, reservation},
    };

    fn adjust(delta: i64) -> Value {
        json!({ "sku": "a", "delta": delta, "reason": "count" })
    }

    #[test]
    fn what_is_reserved_is_not_adjusted_away() {
        let mut book = Book::with_product("a", 5);
        book.given(
            "ReserveStock",
            json!({ "sku": "a", "reservation_id": reservation(1), "owner": "me", "quantity": 3 }),
        );
        assert_eq!(code(book.when("AdjustStock", adjust(-3))), "insufficient_stock");
        book.given("AdjustStock", adjust(-2));
        assert_eq!(book.stock("a"), (3, 3));
    }

    #[test]
    fn an_adjustment_is_not_zero_and_bounded() {
        let mut book = Book::with_product("a", 5);
        let limit = i64::from(MAX_DELTA);
        for delta in [0, limit + 1, -limit - 1] {
            assert_eq!(code(book.when("AdjustStock", adjust(delta))), "delta_out_of_range");
        }
        book.given("AdjustStock", adjust(limit));
    }
}
