//! Setting the price of a SKU.

use chrono::{DateTime, Utc};
use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PriceSet, SkuRecord, policy::MAX_PRICE};
use crate::{
    Context, Decide, Decision, Money, Reads, Refusal, Rejection, Streams,
    general::check_currency,
    ids::{Channel, Sku},
};

/// Sets the price of a SKU in one channel and currency, from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPrice {
    /// The SKU.
    pub sku: Sku,
    /// The channel; `web` when left out.
    #[serde(default)]
    pub channel: Channel,
    /// The price of one unit, not negative.
    pub price: Money,
}

refusals! {
    /// No product has this SKU.
    "unknown_sku" UnknownSku: Rule at "sku" = "there is no SKU {sku}", {
        /// The SKU.
        sku: Sku,
        /// The index of the line in the command, where it has lines.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
    }
    /// Prices are not negative.
    "price_out_of_range" PriceOutOfRange: Rule at "price"
        = "a price is not negative and at most {limit}, not {price}", {
        /// The price that was asked for.
        price: Money,
        /// The limit.
        limit: Money,
    }
    /// The SKU has that price already.
    "price_unchanged" PriceUnchanged: Rule at "price" = "SKU {sku} costs {price} already", {
        /// The SKU.
        sku: Sku,
        /// Its price.
        price: Money,
    }
}

impl Decide for SetPrice {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<SkuRecord>(&self.sku);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { sku, channel, price } = self.clone();
        check_price(price, context.now)?;
        let record = streams.get::<SkuRecord>(&sku)?;
        let Some(product_id) = record.product_id() else {
            return Err(UnknownSku { sku, line: None }.into());
        };
        let previous = record.price(&channel, price.currency);
        if previous == Some(price) {
            return Err(PriceUnchanged { sku, price }.into());
        }
        Ok(Decision::of::<SkuRecord>(&self.sku, PriceSet { sku, product_id, channel, price, previous }))
    }
}

/// Checks that a price is within its bounds, and that its currency is one now.
pub(super) fn check_price(price: Money, now: DateTime<Utc>) -> Result<(), Refusal> {
    check_currency(price.currency, now)?;
    if (0..=MAX_PRICE).contains(&price.minor_units) {
        Ok(())
    } else {
        Err(PriceOutOfRange { price, limit: Money::new(MAX_PRICE, price.currency) }.into())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::{Value, json};

    use crate::{
        catalog::{SkuRecord, policy::MAX_PRICE},
        spec::{Book, code, product},
    };

    fn price(cents: i64, currency: &str, channel: &str) -> Value {
        json!({ "sku": "a", "channel": channel, "price": { "minor_units": cents, "currency": currency } })
    }

    fn draft() -> Book {
        let mut book = Book::new();
        book.given("CreateProduct", json!({ "product_id": product(1), "name": "P", "variants": [{ "sku": "a" }] }));
        book
    }

    #[test]
    fn prices_are_per_channel_and_currency_and_the_lowest_of_30_days_is_known() {
        let mut book = draft();
        book.given("SetPrice", price(300, "EUR", "web")).given("SetPrice", price(400, "USD", "web"));
        book.given("SetPrice", price(350, "EUR", "shop"));
        book.pass(TimeDelta::days(40)).given("SetPrice", price(500, "EUR", "web"));
        book.pass(TimeDelta::days(10)).given("SetPrice", price(450, "EUR", "web"));
        let record = book.state::<SkuRecord>(&"a".parse().expect("valid"));
        let (channel, currency) = ("web".parse().expect("valid"), "EUR".parse().expect("valid"));
        let list = record.price_list(&channel, currency).expect("it has a list");
        assert_eq!(list.lowest(book.now).minor_units, 300, "what was asked 30 days ago still counts");
        assert_eq!(list.lowest(book.now + TimeDelta::days(25)).minor_units, 450, "later it does not");
        assert_eq!(record.price(&channel, "USD".parse().expect("valid")).expect("a price").minor_units, 400);
    }

    #[test]
    fn a_price_is_new_and_within_its_bounds() {
        let mut book = draft();
        book.given("SetPrice", price(450, "EUR", "web"));
        assert_eq!(code(book.when("SetPrice", price(450, "EUR", "web"))), "price_unchanged");
        assert_eq!(code(book.when("SetPrice", price(-1, "EUR", "web"))), "price_out_of_range");
        assert_eq!(code(book.when("SetPrice", price(MAX_PRICE + 1, "EUR", "web"))), "price_out_of_range");
        assert_eq!(code(book.when("SetPrice", price(1, "DEM", "web"))), "currency_not_valid");
        book.given("SetPrice", price(MAX_PRICE, "EUR", "web")).given("SetPrice", price(0, "EUR", "web"));
        let unknown = json!({ "sku": "b", "price": { "minor_units": 1, "currency": "EUR" } });
        assert_eq!(code(book.when("SetPrice", unknown)), "unknown_sku");
    }
}
