//! Putting a product on sale.

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Product, ProductPublished, details::existing};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, ids::ProductId};

/// Shows a product to customers, who can buy it from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishProduct {
    /// The product; it needs a variant.
    pub product_id: ProductId,
}

refusals! {
    /// A product without a variant cannot be bought, so it is not published.
    "nothing_to_sell" NothingToSell: Rule at "product_id" = "product {product_id} has no variant to sell", {
        /// The product.
        product_id: ProductId,
    }
}

impl Decide for PublishProduct {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Product>(&self.product_id);
    }

    fn decide(&self, _context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let product_id = self.product_id;
        let product = streams.get::<Product>(&product_id)?;
        if existing(product_id, product)?.variants.is_empty() {
            return Err(NothingToSell { product_id }.into());
        }
        if product.is_published() {
            return Ok(Decision::unchanged());
        }
        Ok(Decision::of::<Product>(&product_id, ProductPublished { product_id }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::spec::{Book, code, product};

    #[test]
    fn a_product_is_published_when_it_can_be_sold() {
        let mut book = Book::new();
        let id = json!({ "product_id": product(1) });
        assert_eq!(code(book.when("PublishProduct", id.clone())), "product_not_found");
        book.given("CreateProduct", json!({ "product_id": product(1), "name": "P" }));
        assert_eq!(code(book.when("PublishProduct", id.clone())), "nothing_to_sell");
        book.given("AddVariant", json!({ "product_id": product(1), "sku": "a" })).given("PublishProduct", id.clone());
        assert_eq!(book.when("PublishProduct", id), Ok(vec![]), "it is on sale already");
        let empty = json!({ "product_id": product(2), "name": "P", "publish": true });
        assert_eq!(code(book.when("CreateProduct", empty)), "nothing_to_sell");
    }
}
