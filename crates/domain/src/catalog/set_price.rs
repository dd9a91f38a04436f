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
            return Ok(Decision::unchanged());
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
    use chrono::{DateTime, TimeDelta};
    use serde_json::{Value, json};

    use crate::{
        catalog::{SaleChange, SkuRecord, policy::MAX_PRICE},
        ids::Channel,
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
    fn prices_are_per_channel_and_currency_and_each_has_its_own_prior_price() {
        let mut book = draft();
        book.given("SetPrice", price(300, "EUR", "web")).given("SetPrice", price(400, "USD", "web"));
        book.given("SetPrice", price(350, "EUR", "shop"));
        book.pass(TimeDelta::days(40)).given("SetPrice", price(250, "EUR", "web"));
        let record = book.state::<SkuRecord>(&"a".parse().expect("valid"));
        let always = [SaleChange { since: DateTime::UNIX_EPOCH, on_sale: true }];
        let prior = |channel: &str, currency: &str| {
            let list = record.price_list(&channel.parse().expect("valid"), currency.parse().expect("valid"));
            let prior = list.expect("it has a list").prior_price([&always, &always], book.now);
            prior.map(|price| price.minor_units)
        };
        assert_eq!((prior("web", "EUR"), prior("web", "USD"), prior("shop", "EUR")), (Some(300), Some(400), Some(350)));
        let price = |currency: &str| record.price(&Channel::default(), currency.parse().expect("valid"));
        assert_eq!(price("EUR").map(|price| price.minor_units), Some(250));
        assert_eq!(price("GBP"), None);
    }

    #[test]
    fn a_price_is_within_its_bounds_and_set_once() {
        let mut book = draft();
        book.given("SetPrice", price(450, "EUR", "web"));
        assert_eq!(book.when("SetPrice", price(450, "EUR", "web")), Ok(vec![]), "it costs that already");
        assert_eq!(code(book.when("SetPrice", price(-1, "EUR", "web"))), "price_out_of_range");
        assert_eq!(code(book.when("SetPrice", price(MAX_PRICE + 1, "EUR", "web"))), "price_out_of_range");
        assert_eq!(code(book.when("SetPrice", price(1, "DEM", "web"))), "currency_not_valid");
        book.given("SetPrice", price(MAX_PRICE, "EUR", "web")).given("SetPrice", price(0, "EUR", "web"));
        let unknown = json!({ "sku": "b", "price": { "minor_units": 1, "currency": "EUR" } });
        assert_eq!(code(book.when("SetPrice", unknown)), "unknown_sku");
    }
}
