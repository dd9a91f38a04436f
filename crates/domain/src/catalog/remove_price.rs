//! Removing a price of a SKU.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PriceRemoved, SkuRecord, UnknownSku};
use crate::{
    Context, Currency, Decide, Decision, Reads, Rejection, Streams,
    ids::{Channel, Sku},
};

/// Removes the price of a SKU in one channel and currency, so that it cannot be bought there any more. Carts keep their lines, and say
/// that they have no price. Orders keep what was agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemovePrice {
    /// The SKU.
    pub sku: Sku,
    /// The channel; `web` when left out.
    #[serde(default)]
    pub channel: Channel,
    /// The currency of the price.
    pub currency: Currency,
}

impl Decide for RemovePrice {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<SkuRecord>(&self.sku);
    }

    fn decide(&self, _context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { sku, channel, currency } = self.clone();
        let record = streams.get::<SkuRecord>(&sku)?;
        let Some(product_id) = record.product_id() else {
            return Err(UnknownSku { sku, line: None }.into());
        };
        let Some(previous) = record.price(&channel, currency) else { return Ok(Decision::unchanged()) };
        Ok(Decision::of::<SkuRecord>(&self.sku, PriceRemoved { sku, product_id, channel, currency, previous }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::spec::{Book, cart, code, order};

    fn remove(sku: &str, currency: &str) -> Value {
        json!({ "sku": sku, "currency": currency })
    }

    #[test]
    fn a_price_is_removed_once_and_can_be_set_again() {
        let mut book = Book::with_product("a", 5);
        book.with_cart(1, &[("a", 1)]);
        assert_eq!(book.when("RemovePrice", remove("a", "USD")), Ok(vec![]), "it has no such price");
        assert_eq!(book.when("RemovePrice", remove("a", "EUR")), Ok(vec!["catalog.PriceRemoved"]));
        assert_eq!(book.when("RemovePrice", remove("a", "EUR")), Ok(vec![]), "it is removed already");
        assert_eq!(code(book.when("RemovePrice", remove("b", "EUR"))), "unknown_sku");
        let place = json!({ "cart_id": cart(1), "order_id": order(1) });
        assert_eq!(code(book.when("PlaceOrder", place.clone())), "no_price");
        book.given("SetPrice", json!({ "sku": "a", "price": { "minor_units": 199, "currency": "EUR" } }));
        book.given("PlaceOrder", place);
    }
}
