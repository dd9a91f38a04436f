//! The lines of a cart: adding them, and how much a cart may hold.

use std::collections::{BTreeMap, BTreeSet};

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cart, LineAdded, OpenedCart, policy::MAX_LINES, require_open::require_open};
use crate::{
    Command, Context, Decision, Money, Quantity, Refusal, Rejection, Streams,
    amount::line_total,
    catalog::{Product, SkuRecord},
    general::{AmountOverflow, refuse_all},
    ids::{CartId, ProductId, Sku},
    inventory::{Demand, Line, Supply, availability},
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

/// Adds lines to a cart: all of them or none. Every line that cannot be added is named.
pub(super) fn add(
    cart_id: CartId,
    lines: &[NewLine],
    command: impl Into<Command>,
    line_of: fn(usize) -> Line,
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
    let mut problems = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let NewLine { sku, quantity } = line.clone();
        let offer = offer(&sku, quantity, cart, line_of(index), context, streams)?;
        let sum = add_up(&sku, totals.get(&line.sku).copied(), quantity, line_of(index));
        match (offer, sum) {
            (Ok((product_id, unit_price)), Ok(sum)) => {
                if line_total(unit_price, sum).is_err() {
                    problems.push(AmountOverflow { line: line_of(index).index() }.into());
                }
                totals.insert(&line.sku, sum);
                added.push(LineAdded { cart_id, sku, product_id: Some(product_id), quantity, unit_price });
            }
            (offer, sum) => {
                problems.extend(offer.err().into_iter().flatten());
                problems.extend(sum.err().map(Refusal::from));
            }
        }
    }
    refuse_all(problems, command).map_err(Rejection::Refused)?;
    // A cart from before the limit was lowered may hold more. It can still have more of what it holds.
    if totals.len() > cart.lines.len() {
        check_line_count(totals.len())?;
    }
    Ok(Decision::default().and_all::<Cart>(&cart_id, added))
}

/// The product and the price of a SKU that can be bought in a cart, or every reason why it cannot. Its stock is not asked for: a cart
/// may hold more than is there, and says so.
pub(super) fn offer(
    sku: &Sku,
    quantity: Quantity,
    cart: &OpenedCart,
    line: Line,
    context: &Context,
    streams: &Streams<'_>,
) -> Result<Result<(ProductId, Money), Vec<Refusal>>, Rejection> {
    let record = streams.get::<SkuRecord>(sku)?;
    let product_id = record.product_id();
    let product = product_id.map(|id| streams.get::<Product>(&id)).transpose()?;
    let demand = Demand {
        sku,
        quantity,
        channel: &cart.channel,
        currency: Some(cart.currency),
        locations: &[],
        actor: &context.actor,
        storefront: &context.storefront,
        line,
    };
    let price = record.price(&cart.channel, cart.currency);
    let asked = availability(&demand, &Supply { sale: record.sale(sku, product), price, stocks: None });
    Ok(match (product_id, price) {
        (Some(product_id), Some(price)) if asked.is_orderable() => Ok((product_id, price)),
        _ => Err(asked.problems),
    })
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
    line: Line,
) -> Result<Quantity, QuantityTooLarge> {
    let Some(before) = before else { return Ok(more) };
    let sum = before.signed() + more.signed();
    let too_large = |_| QuantityTooLarge { sku: sku.clone(), quantity: sum, limit: Quantity::MAX, line: line.index() };
    before.plus(more).map_err(too_large)
}
