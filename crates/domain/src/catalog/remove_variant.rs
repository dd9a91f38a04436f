//! Taking a variant from a product.

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Product, SkuRecord, VariantNotFound, VariantRemoved, details::existing};
use crate::{
    Context, Decide, Decision, Reads, Rejection, Streams,
    ids::{ProductId, Sku},
};

/// Takes a variant from its product, so that it cannot be bought any more. Carts keep their lines, and say that they cannot be bought.
/// Orders, stock, reservations and prices stay, and the SKU stays the product's: `AddVariant` brings the variant back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveVariant {
    /// The product.
    pub product_id: ProductId,
    /// The SKU of the variant.
    pub sku: Sku,
}

refusals! {
    /// A product that is on sale keeps a variant to sell.
    "last_variant" LastVariant: Rule at "sku"
        = "{sku} is the last variant of product {product_id}, which is on sale; archive the product first", {
        /// The product.
        product_id: ProductId,
        /// The SKU.
        sku: Sku,
    }
}

impl Decide for RemoveVariant {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Product>(&self.product_id);
        reads.add::<SkuRecord>(&self.sku);
    }

    fn decide(&self, _context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { product_id, sku } = self.clone();
        let product = streams.get::<Product>(&product_id)?;
        let details = existing(product_id, product)?;
        if details.variant(&sku).is_none() {
            return match streams.get::<SkuRecord>(&sku)?.product_id() {
                Some(owner) if owner == product_id => Ok(Decision::unchanged()),
                Some(_) | None => Err(VariantNotFound { product_id, sku }.into()),
            };
        }
        if product.is_published() && details.variants.len() == 1 {
            return Err(LastVariant { product_id, sku }.into());
        }
        Ok(Decision::of::<Product>(&product_id, VariantRemoved { product_id, sku }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::spec::{Book, cart, code, opened, order, product};

    fn removing(sku: &str) -> Value {
        json!({ "product_id": product(1), "sku": sku })
    }

    /// A product on sale with the variants `a` and `b`.
    fn tee() -> Book {
        let mut book = Book::with_product("a", 5);
        book.given("AddVariant", removing("b"));
        book.given("SetPrice", json!({ "sku": "b", "price": { "minor_units": 100, "currency": "EUR" } }));
        book.given("ReceiveStock", json!({ "sku": "b", "quantity": 5 }));
        book
    }

    #[test]
    fn a_removed_variant_cannot_be_bought_and_its_sku_stays_the_products() {
        let mut book = tee();
        book.with_cart(1, &[("b", 2)]).with_cart(2, &[("b", 1)]);
        book.given("PlaceOrder", json!({ "cart_id": cart(2), "order_id": order(2) }))
            .given("RemoveVariant", removing("b"));
        let add = json!({ "cart_id": cart(1), "sku": "b", "quantity": 1 });
        assert_eq!(code(book.when("AddLine", add)), "not_on_sale");
        let place = json!({ "cart_id": cart(1), "order_id": order(1) });
        assert_eq!(code(book.when("PlaceOrder", place)), "no_longer_on_sale");
        assert_eq!(opened(&book, 1).lines.len(), 1, "the cart keeps its line");
        assert_eq!(book.stock("b"), (5, 1), "stock and claim of the order stay");
        book.given("AdjustStock", json!({ "sku": "b", "delta": -1, "reason": "count" }));
        let elsewhere = json!({ "product_id": product(2), "name": "Q", "variants": [{ "sku": "b" }] });
        assert_eq!(code(book.when("CreateProduct", elsewhere)), "sku_taken");
        for command in ["ConfirmOrder", "StartFulfilment", "ShipOrder"] {
            book.given(command, json!({ "order_id": order(2) }));
        }
    }

    #[test]
    fn a_removed_variant_can_be_added_again_and_is_removed_once() {
        let mut book = tee();
        book.given("RemoveVariant", removing("b"));
        assert_eq!(book.when("RemoveVariant", removing("b")), Ok(vec![]), "it is removed already");
        assert_eq!(code(book.when("RemoveVariant", removing("c"))), "variant_not_found");
        assert_eq!(code(book.when("ReviseVariant", removing("b"))), "variant_not_found");
        assert_eq!(book.when("AddVariant", removing("b")), Ok(vec!["catalog.VariantAdded"]));
        assert_eq!(code(book.when("AddVariant", removing("b"))), "sku_taken");
    }

    #[test]
    fn a_product_on_sale_keeps_a_variant() {
        let mut book = tee();
        book.given("RemoveVariant", removing("a"));
        assert_eq!(code(book.when("RemoveVariant", removing("b"))), "last_variant");
        book.given("ArchiveProduct", json!({ "product_id": product(1) })).given("RemoveVariant", removing("b"));
        assert_eq!(code(book.when("PublishProduct", json!({ "product_id": product(1) }))), "nothing_to_sell");
    }
}
