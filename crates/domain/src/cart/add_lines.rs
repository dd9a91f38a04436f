//! Adding lines to a cart: one, or many at once.

use std::collections::BTreeMap;

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cart, LineAdded, OpenedCart,
    open::{add_up, check_line_count, open_cart},
};
use crate::{
    Context, Currency, Decide, Decision, Money, Quantity, Reads, Rejection, Streams,
    catalog::{Product, SkuRecord, UnknownSku},
    ids::{CartId, Channel, ProductId, Sku},
};

/// A line to be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLine {
    /// The SKU.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
}

/// Adds units of a SKU to a cart; to the line that it has, if it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddLine {
    /// The cart.
    pub cart_id: CartId,
    /// The SKU.
    pub sku: Sku,
    /// How many more.
    pub quantity: Quantity,
}

/// Adds many lines to a cart: all of them or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddLines {
    /// The cart.
    pub cart_id: CartId,
    /// The lines.
    pub lines: Vec<NewLine>,
}

refusals! {
    /// The product is not on sale.
    "not_on_sale" NotOnSale: Rule at "sku" = "SKU {sku} is not on sale", {
        /// The SKU.
        sku: Sku,
        /// The index of the line in the command.
        line: usize,
    }
    /// The SKU has no price in the currency and channel of the cart.
    "no_price" NoPrice: Rule at "sku" = "SKU {sku} has no price in {currency} in channel {channel}", {
        /// The SKU.
        sku: Sku,
        /// The currency of the cart.
        currency: Currency,
        /// The channel of the cart.
        channel: Channel,
        /// The index of the line in the command, where it has lines.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
    }
    /// A command adds at least one line.
    "no_lines" NoLines: Rule at "lines" = "there is no line to add", {}
}

impl Decide for AddLine {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Cart>(&self.cart_id);
        reads.add::<SkuRecord>(&self.sku);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let lines = [NewLine { sku: self.sku.clone(), quantity: self.quantity }];
        add_lines(self.cart_id, &lines, context, streams)
    }
}

impl Decide for AddLines {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Cart>(&self.cart_id);
        reads.add_all::<SkuRecord>(self.lines.iter().map(|line| &line.sku));
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        if self.lines.is_empty() {
            return Err(NoLines {}.into());
        }
        add_lines(self.cart_id, &self.lines, context, streams)
    }
}

fn add_lines(
    cart_id: CartId,
    lines: &[NewLine],
    context: &Context,
    streams: &Streams<'_>,
) -> Result<Decision, Rejection> {
    check_line_count(lines.len())?;
    let cart = open_cart(cart_id, context, streams)?;
    let records = streams.get_all::<SkuRecord>(lines.iter().map(|line| &line.sku))?;
    let products: Vec<_> = records.iter().filter_map(|record| record.product_id()).collect();
    streams.get_all::<Product>(&products)?;
    let mut totals: BTreeMap<&Sku, Quantity> = cart.lines.iter().map(|line| (&line.sku, line.quantity)).collect();
    let mut added = Vec::with_capacity(lines.len());
    for (index, (line, record)) in lines.iter().zip(records).enumerate() {
        let NewLine { sku, quantity } = line.clone();
        let (product_id, unit_price) = on_sale(&sku, record, cart, index, streams)?;
        let before = totals.get(&line.sku).copied();
        totals.insert(&line.sku, add_up(&sku, before, quantity, Some(index))?);
        added.push(LineAdded { cart_id, sku, product_id: Some(product_id), quantity, unit_price });
    }
    check_line_count(totals.len())?;
    Ok(Decision::default().and_all::<Cart>(&cart_id, added))
}

/// The product and the price of a SKU that can be bought.
fn on_sale(
    sku: &Sku,
    record: &SkuRecord,
    cart: &OpenedCart,
    line: usize,
    streams: &Streams<'_>,
) -> Result<(ProductId, Money), Rejection> {
    let Some(product_id) = record.product_id() else {
        return Err(UnknownSku { sku: sku.clone(), line: Some(line) }.into());
    };
    if !streams.get::<Product>(&product_id)?.is_published() {
        return Err(NotOnSale { sku: sku.clone(), line }.into());
    }
    let price = record.price(&cart.channel, cart.currency).ok_or_else(|| NoPrice {
        sku: sku.clone(),
        currency: cart.currency,
        channel: cart.channel.clone(),
        line: Some(line),
    })?;
    Ok((product_id, price))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        cart::policy::MAX_LINES,
        spec::{Book, cart, code, opened, product},
    };

    fn line(number: u128, sku: &str, quantity: u32) -> Value {
        json!({ "cart_id": cart(number), "sku": sku, "quantity": quantity })
    }

    #[test]
    fn quantities_of_one_sku_add_up_in_one_line() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[("a", 2), ("a", 3)]);
        assert_eq!(opened(&book, 1).lines[0].quantity.units(), 5);
        let both =
            json!({ "cart_id": cart(1), "lines": [{ "sku": "a", "quantity": 1 }, { "sku": "a", "quantity": 1 }] });
        book.given("AddLines", both);
        assert_eq!(opened(&book, 1).lines[0].quantity.units(), 7);
        assert_eq!(code(book.when("AddLine", line(1, "a", 10_000_000))), "quantity_too_large");
    }

    #[test]
    fn only_what_is_on_sale_in_the_currency_of_the_cart_is_added() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[]);
        book.given("OpenCart", json!({ "cart_id": cart(2), "currency": "USD" }));
        book.given("CreateProduct", json!({ "product_id": product(2), "name": "P", "variants": [{ "sku": "b" }] }));
        assert_eq!(code(book.when("AddLine", line(1, "c", 1))), "unknown_sku");
        assert_eq!(code(book.when("AddLine", line(1, "b", 1))), "not_on_sale");
        assert_eq!(code(book.when("AddLine", line(2, "a", 1))), "no_price");
        assert_eq!(code(book.when("AddLines", json!({ "cart_id": cart(1), "lines": [] }))), "no_lines");
    }

    #[test]
    fn a_cart_holds_as_many_lines_as_can_be_ordered() {
        let mut book = Book::new();
        let lines: Vec<_> = (0..=MAX_LINES).map(|nr| json!({ "sku": format!("s{nr}"), "quantity": 1 })).collect();
        for nr in 0..=MAX_LINES {
            book.put_on_sale(nr as u128 + 1, &format!("s{nr}"), 100, 1);
        }
        book.with_cart(1, &[]);
        let add = |lines: &[Value]| json!({ "cart_id": cart(1), "lines": lines });
        assert_eq!(code(book.when("AddLines", add(&lines))), "too_many_lines");
        book.given("AddLines", add(&lines[..MAX_LINES]));
        assert_eq!(code(book.when("AddLine", line(1, &format!("s{MAX_LINES}"), 1))), "too_many_lines");
        book.given("PlaceOrder", json!({ "cart_id": cart(1), "order_id": cart(1) }));
    }

    #[test]
    fn a_refusal_points_at_the_field_that_it_objects_to() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[]);
        assert_eq!(book.pointer("AddLine", line(1, "c", 1)).as_deref(), Some("/sku"));
        let lines =
            json!({ "cart_id": cart(1), "lines": [{ "sku": "a", "quantity": 1 }, { "sku": "c", "quantity": 1 }] });
        assert_eq!(book.pointer("AddLines", lines).as_deref(), Some("/lines/1/sku"));
        assert_eq!(book.pointer("AddLine", line(9, "a", 1)).as_deref(), Some("/cart_id"));
    }
}
