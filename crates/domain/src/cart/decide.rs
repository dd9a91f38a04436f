//! How carts decide.

use std::collections::BTreeMap;

use crate::{
    Actor, Context, Decide, Decision, Fold, Money, Quantity, Rejection, View,
    cart::{Cart, CartRefusal as Refusal, OpenedCart, command::*, event::*},
    catalog::{Product, ProductStatus, SkuRecord},
    ids::{CartId, Sku},
};

/// The most lines that one cart may have.
const MAX_LINES: usize = 500;

impl Decide for OpenCart {
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let cart_id = self.cart_id;
        if view.find_new::<Cart>(&cart_id).is_some_and(|cart| *cart != Cart::Absent) {
            Err(Refusal::CartExists { cart_id })?;
        }
        // Whoever is known and names nobody opens a cart of their own.
        let own = match &context.actor {
            Actor::Customer(id) => Some(id),
            _ => None,
        };
        let customer_id = self.customer_id.as_ref().or(own);
        if !context.actor.may_touch(customer_id) {
            Err(Refusal::CartForSomebodyElse)?;
        }
        Ok(Decision::of(
            Cart::stream(&cart_id),
            CartOpened {
                cart_id,
                customer_id: customer_id.cloned(),
                channel: self.channel.clone(),
                currency: self.currency,
            },
        ))
    }
}

impl Decide for AddLine {
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let lines = [NewLine { sku: self.sku.clone(), quantity: self.quantity }];
        add_lines(self.cart_id, &lines, context, view)
    }
}

impl Decide for AddLines {
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        add_lines(self.cart_id, &self.lines, context, view)
    }
}

impl Decide for ChangeQuantity {
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let Self { cart_id, sku, quantity } = self.clone();
        let cart = open_cart(cart_id, context, view)?;
        match cart.line(&sku) {
            None => Err(Refusal::LineNotFound { cart_id, sku }.into()),
            Some(line) if line.quantity == quantity => Err(Refusal::QuantityUnchanged { sku }.into()),
            Some(_) => Ok(Decision::of(Cart::stream(&cart_id), QuantityChanged { cart_id, sku, quantity })),
        }
    }
}

impl Decide for RemoveLine {
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let Self { cart_id, sku } = self.clone();
        match open_cart(cart_id, context, view)?.line(&sku) {
            None => Err(Refusal::LineNotFound { cart_id, sku }.into()),
            Some(_) => Ok(Decision::of(Cart::stream(&cart_id), LineRemoved { cart_id, sku })),
        }
    }
}

impl Decide for MergeCarts {
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let Self { from, into } = *self;
        if from == into {
            Err(Refusal::MergeIntoItself { cart_id: from })?;
        }
        view.get_all::<Cart>([&from, &into])?;
        let source = open_cart(from, context, view)?;
        let target = open_cart(into, context, view)?;
        if source.customer_id.is_some() && source.customer_id != target.customer_id {
            Err(Refusal::CartNotYours { cart_id: from })?;
        }
        if (source.currency, &source.channel) != (target.currency, &target.channel) {
            Err(Refusal::CartsDiffer)?;
        }
        let lines = merged_lines(source, target)?;
        let merged = CartMerged { cart_id: into, from, lines };
        let ended = CartMergedInto { cart_id: from, into };
        Ok(Decision::of(Cart::stream(&into), merged).and(Cart::stream(&from), ended))
    }
}

impl Decide for AbandonCart {
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let cart_id = self.cart_id;
        open_cart(cart_id, context, view)?;
        Ok(Decision::of(Cart::stream(&cart_id), CartAbandoned { cart_id }))
    }
}

/// The cart, if the actor may touch it and it can still be changed.
pub(crate) fn open_cart<'a>(cart_id: CartId, context: &Context, view: &View<'a>) -> Result<&'a OpenedCart, Rejection> {
    let cart = match view.get::<Cart>(&cart_id)? {
        Cart::Absent => Err(Refusal::CartNotFound { cart_id }),
        Cart::CheckedOut { customer_id, .. } if !context.actor.may_touch(customer_id.as_ref()) => {
            Err(Refusal::CartNotYours { cart_id })
        }
        Cart::CheckedOut { .. } => Err(Refusal::CartClosed { cart_id, how: "checked out" }),
        Cart::Merged { .. } => Err(Refusal::CartClosed { cart_id, how: "merged" }),
        Cart::Abandoned => Err(Refusal::CartClosed { cart_id, how: "abandoned" }),
        Cart::Open(cart) if !context.actor.may_touch(cart.customer_id.as_ref()) => {
            Err(Refusal::CartNotYours { cart_id })
        }
        Cart::Open(cart) if cart.expires_at() <= context.now => {
            Err(Refusal::CartExpired { cart_id, expired_at: cart.expires_at() })
        }
        Cart::Open(cart) => Ok(cart),
    };
    Ok(cart?)
}

fn add_lines(cart_id: CartId, lines: &[NewLine], context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
    if lines.is_empty() {
        Err(Refusal::NoLines)?;
    }
    check_line_count(lines.len())?;
    let records = view.get_all::<SkuRecord>(lines.iter().map(|line| &line.sku));
    let cart = open_cart(cart_id, context, view)?;
    let records = records?;
    let products: Vec<_> = records.iter().filter_map(|record| record.product_id).collect();
    view.get_all::<Product>(&products)?;
    let mut totals: BTreeMap<&Sku, Quantity> = cart.lines.iter().map(|line| (&line.sku, line.quantity)).collect();
    let mut decision = Decision::default();
    for (index, (line, record)) in lines.iter().zip(records).enumerate() {
        let NewLine { sku, quantity } = line.clone();
        let unit_price = price_on_sale(&sku, record, cart, index, view)?;
        let before = totals.get(&line.sku).copied();
        let after = before.map_or(Ok(quantity), |before| before.plus(quantity));
        let after = after.map_err(|_| too_large(&line.sku))?;
        totals.insert(&line.sku, after);
        decision = decision.and(Cart::stream(&cart_id), LineAdded { cart_id, sku, quantity, unit_price });
    }
    check_line_count(totals.len())?;
    Ok(decision)
}

fn price_on_sale(
    sku: &Sku,
    record: &SkuRecord,
    cart: &OpenedCart,
    line: usize,
    view: &View<'_>,
) -> Result<Money, Rejection> {
    let Some(product_id) = record.product_id else {
        return Err(Refusal::UnknownSku { sku: sku.clone(), line }.into());
    };
    if view.get::<Product>(&product_id)?.status != ProductStatus::Published {
        Err(Refusal::NotOnSale { sku: sku.clone(), line })?;
    }
    let price = record.price(&cart.channel, cart.currency).ok_or_else(|| Refusal::NoPrice {
        sku: sku.clone(),
        currency: cart.currency,
        channel: cart.channel.clone(),
        line,
    })?;
    Ok(price)
}

fn merged_lines(source: &OpenedCart, target: &OpenedCart) -> Result<Vec<MergedLine>, Refusal> {
    let new = source.lines.iter().filter(|line| target.line(&line.sku).is_none()).count();
    check_line_count(target.lines.len() + new)?;
    let merged = source.lines.iter().map(|line| {
        let before = target.line(&line.sku);
        let quantity = before.map_or(Ok(line.quantity), |before| before.quantity.plus(line.quantity));
        Ok(MergedLine {
            sku: line.sku.clone(),
            quantity: quantity.map_err(|_| too_large(&line.sku))?,
            unit_price: before.map_or(line.unit_price, |before| before.unit_price),
        })
    });
    merged.collect()
}

fn check_line_count(lines: usize) -> Result<(), Refusal> {
    if lines > MAX_LINES { Err(Refusal::TooManyLines { limit: MAX_LINES, lines }) } else { Ok(()) }
}

fn too_large(sku: &Sku) -> Refusal {
    Refusal::QuantityTooLarge { sku: sku.clone(), limit: Quantity::MAX }
}
