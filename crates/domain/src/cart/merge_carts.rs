//! Merging two carts, as at login.

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Cart, CartMerged, CartMergedInto, CartOpened, MergedLine, OpenedCart,
    lines::{add_up, check_line_count},
    require_open::require_open,
};
use crate::{
    Context, Decide, Decision, Reads, Refusal, Rejection, Streams, amount::line_total, ids::CartId, inventory::Line,
};

/// Moves every line of one cart into another, as at login: quantities of the same SKU add up, and no line is lost.
/// A line that both carts have keeps the price of the cart that takes the lines. A customer may name a cart that does not exist: it is
/// opened as theirs. So a guest's cart becomes the customer's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeCarts {
    /// The cart that ends: a guest's, or another one of the same customer.
    pub from: CartId,
    /// The cart that takes the lines. For a customer it may be the id of a new cart.
    pub into: CartId,
}

refusals! {
    /// A cart cannot be merged into itself.
    "merge_into_itself" MergeIntoItself: Rule at "into" = "cart {cart_id} cannot be merged into itself", {
        /// The cart.
        cart_id: CartId,
    }
    /// The cart that ends is a customer's, and the cart that takes the lines is not that customer's.
    "owners_differ" OwnersDiffer: Rule at "into" = "cart {from} belongs to a customer, and cart {into} does not belong to that customer", {
        /// The cart that should end.
        from: CartId,
        /// The cart that should take the lines.
        into: CartId,
    }
    /// The carts are quoted in different currencies or channels.
    "carts_differ" CartsDiffer: Rule at "into" = "carts of different currencies or channels cannot be merged", {}
}

impl Decide for MergeCarts {
    fn reads(&self, reads: &mut Reads) {
        reads.add_all::<Cart>([&self.from, &self.into]);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { from, into } = *self;
        if from == into {
            return Err(MergeIntoItself { cart_id: from }.into());
        }
        if let Cart::Merged { into: before, .. } = streams.get::<Cart>(&from)?
            && *before == into
        {
            return Ok(Decision::unchanged());
        }
        let source = require_open(from, context, streams)?;
        let opened = self.opened(source, context, streams)?;
        let new = opened.as_ref().map(|opened| empty(opened, context));
        let target = match &new {
            Some(new) => new,
            None => require_open(into, context, streams)?,
        };
        // Staff, and a customer with a guest's cart, may touch both. Still a customer's lines stay with the customer.
        if source.customer_id.is_some() && source.customer_id != target.customer_id {
            return Err(OwnersDiffer { from, into }.into());
        }
        if (source.currency, &source.channel) != (target.currency, &target.channel) {
            return Err(CartsDiffer {}.into());
        }
        let merged = CartMerged { cart_id: into, from, lines: merged_lines(source, target)? };
        let ended = CartMergedInto { cart_id: from, into };
        let decision = match opened {
            Some(opened) => Decision::of::<Cart>(&into, opened).and::<Cart>(&into, merged),
            None => Decision::of::<Cart>(&into, merged),
        };
        Ok(decision.and::<Cart>(&from, ended))
    }
}

impl MergeCarts {
    /// The cart that a customer opens by merging into one that does not exist. It has the prices of the cart that ends.
    fn opened(
        &self,
        source: &OpenedCart,
        context: &Context,
        streams: &Streams<'_>,
    ) -> Result<Option<CartOpened>, Rejection> {
        let Some(customer_id) = context.actor.customer() else { return Ok(None) };
        let absent = *streams.get::<Cart>(&self.into)? == Cart::Absent;
        Ok(absent.then(|| CartOpened {
            cart_id: self.into,
            customer_id: Some(customer_id),
            channel: source.channel.clone(),
            currency: source.currency,
        }))
    }
}

/// A cart that was just opened.
fn empty(opened: &CartOpened, context: &Context) -> OpenedCart {
    let CartOpened { customer_id, channel, currency, .. } = opened.clone();
    OpenedCart { customer_id, channel, currency, lines: Vec::new(), touched_at: context.now }
}

fn merged_lines(source: &OpenedCart, target: &OpenedCart) -> Result<Vec<MergedLine>, Refusal> {
    let new = source.lines.iter().filter(|line| target.line(&line.sku).is_none()).count();
    check_line_count(target.lines.len() + new)?;
    let merged = source.lines.iter().map(|line| {
        let before = target.line(&line.sku);
        let quantity = add_up(&line.sku, before.map(|before| before.quantity), line.quantity, Line::None)?;
        let unit_price = before.map_or(line.unit_price, |before| before.unit_price);
        // A cart from before there was a limit is taken over as it is.
        if before.is_some() {
            line_total(unit_price, quantity)?;
        }
        Ok(MergedLine { sku: line.sku.clone(), product_id: line.product_id, quantity, unit_price })
    });
    merged.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        Actor,
        spec::{Book, cart, code, customer, customer_id, opened},
    };

    fn merge(from: u128, into: u128) -> Value {
        json!({ "from": cart(from), "into": cart(into) })
    }

    #[test]
    fn merging_at_login_loses_no_line() {
        let mut book = Book::with_product("a", 1);
        book.put_on_sale(2, "b", 100, 1);
        book.with_cart(1, &[("a", 2), ("b", 1)]).with_customer_cart(2, "ann", &[("b", 4)]);
        assert_eq!(code(book.when("MergeCarts", merge(1, 1))), "merge_into_itself");
        let merged = book.when_as(customer("ann"), "MergeCarts", merge(1, 2));
        assert_eq!(merged, Ok(vec!["cart.CartMerged", "cart.CartMergedInto"]));
        let lines = opened(&book, 2).lines;
        let lines: Vec<_> = lines.iter().map(|line| (line.sku.as_str(), line.quantity.units())).collect();
        assert_eq!(lines, [("b", 5), ("a", 2)]);
        assert_eq!(book.when_as(customer("ann"), "MergeCarts", merge(1, 2)), Ok(vec![]), "they are merged already");
        assert_eq!(opened(&book, 2).lines.len(), 2);
        let more = json!({ "cart_id": cart(1), "sku": "a", "quantity": 1 });
        assert_eq!(code(book.when("AddLine", more)), "cart_closed");
    }

    #[test]
    fn a_guests_cart_becomes_the_customers_who_has_no_other_cart() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[("a", 2)]);
        let merged = book.when_as(customer("ann"), "MergeCarts", merge(1, 2));
        assert_eq!(merged, Ok(vec!["cart.CartOpened", "cart.CartMerged", "cart.CartMergedInto"]));
        let own = opened(&book, 2);
        assert_eq!(own.customer_id, Some(customer_id("ann")));
        assert_eq!(own.lines.iter().map(|line| line.quantity.units()).collect::<Vec<_>>(), [2]);
        assert_eq!(code(book.when_as(customer("bob"), "MergeCarts", merge(2, 3))), "cart_not_yours");
    }

    #[test]
    fn only_a_customer_opens_a_cart_by_merging() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[("a", 2)]).with_customer_cart(2, "ann", &[]);
        for actor in [Actor::Guest, Actor::Support("sue".into()), Actor::Admin("ada".into())] {
            assert_eq!(code(book.when_as(actor, "MergeCarts", merge(1, 9))), "cart_not_found");
        }
        book.given("AbandonCart", json!({ "cart_id": cart(2) }));
        assert_eq!(code(book.when_as(customer("ann"), "MergeCarts", merge(1, 2))), "cart_closed");
    }

    #[test]
    fn a_customers_lines_stay_with_the_customer() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[]).with_customer_cart(2, "ann", &[("a", 1)]).with_customer_cart(3, "bob", &[]);
        for actor in [customer("ann"), Actor::Support("sue".into()), Actor::Admin("ada".into())] {
            assert_eq!(
                code(book.when_as(actor, "MergeCarts", merge(2, 1))),
                "owners_differ",
                "a guest has the other cart"
            );
        }
        assert_eq!(code(book.when("MergeCarts", merge(2, 3))), "owners_differ");
        assert_eq!(code(book.when_as(customer("ann"), "MergeCarts", merge(2, 3))), "cart_not_yours");
        assert_eq!(opened(&book, 2).lines.len(), 1);
    }

    #[test]
    fn carts_of_other_customers_and_currencies_are_not_merged() {
        let mut book = Book::with_product("a", 1);
        book.with_customer_cart(2, "ann", &[]).with_customer_cart(3, "bob", &[]);
        assert_eq!(code(book.when("MergeCarts", merge(3, 2))), "owners_differ");
        assert_eq!(code(book.when_as(customer("ann"), "MergeCarts", merge(3, 2))), "cart_not_yours");
        assert_eq!(opened(&book, 3).customer_id, Some(customer_id("bob")));
        book.given("OpenCart", json!({ "cart_id": cart(4), "currency": "USD" }));
        assert_eq!(code(book.when("MergeCarts", merge(4, 2))), "carts_differ");
    }
}
