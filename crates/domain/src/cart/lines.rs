//! The lines of a cart: adding them, and how much a cart may hold.

use std::collections::{BTreeMap, BTreeSet};

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cart, LineAdded, OpenedCart, policy::MAX_LINES, require_open::require_open};
use crate::{
    Context, Currency, Decision, Money, Quantity, Rejection, Streams,
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
    /// A cart has a bounded number of lines.
    "too_many_lines" TooManyLines: Rule at "lines" or "cart_id" = "a cart has at most {limit} lines; it would have {lines}", {
        /// The limit.
        limit: usize,
        /// How many there would be.
        lines: usize,
    }
    /// A line has a bounded quantity.
    "quantity_too_large" QuantityTooLarge: Rule at "quantity" = "there would be {quantity} of SKU {sku}; the limit is {limit}", {
        /// The SKU.
        sku: Sku,
        /// How many there would be.
        quantity: i64,
        /// The limit.
        limit: u32,
        /// The index of the line in the command, where it has lines.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
    }
    /// The cart has no line of that SKU.
    "line_not_found" LineNotFound: Rule at "sku" = "cart {cart_id} has no line of SKU {sku}", {
        /// The cart.
        cart_id: CartId,
        /// The SKU.
        sku: Sku,
    }
}

/// Adds lines to a cart: all of them or none.
pub(super) fn add(
    cart_id: CartId,
    lines: &[NewLine],
    context: &Context,
    streams: &Streams<'_>,
) -> Result<Decision, Rejection> {
    check_line_count(skus(lines).len())?;
    let cart = require_open(cart_id, context, streams)?;
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
    // A cart from before the limit was lowered may hold more. It can still have more of what it holds.
    if totals.len() > cart.lines.len() {
        check_line_count(totals.len())?;
    }
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

/// The SKUs of lines that are to be added, each once: a SKU has one line in a cart.
pub(super) fn skus(lines: &[NewLine]) -> BTreeSet<&Sku> {
    lines.iter().map(|line| &line.sku).collect()
}

/// Checks that a cart does not hold too many lines.
pub(crate) fn check_line_count(lines: usize) -> Result<(), TooManyLines> {
    if lines > MAX_LINES { Err(TooManyLines { limit: MAX_LINES, lines }) } else { Ok(()) }
}

/// The sum of two quantities of one SKU, which one line has to hold.
pub(super) fn add_up(
    sku: &Sku,
    before: Option<Quantity>,
    more: Quantity,
    line: Option<usize>,
) -> Result<Quantity, QuantityTooLarge> {
    let Some(before) = before else { return Ok(more) };
    let sum = before.signed() + more.signed();
    before.plus(more).map_err(|_| QuantityTooLarge { sku: sku.clone(), quantity: sum, limit: Quantity::MAX, line })
}
