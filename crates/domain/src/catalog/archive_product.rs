//! Taking a product out of sale.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Product, ProductArchived, details::existing};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, ids::ProductId};

/// Takes a product out of sale. Its SKUs stay its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveProduct {
    /// The product.
    pub product_id: ProductId,
}

impl Decide for ArchiveProduct {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Product>(&self.product_id);
    }

    fn decide(&self, _context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let product_id = self.product_id;
        let product = streams.get::<Product>(&product_id)?;
        existing(product_id, product)?;
        if matches!(product, Product::Archived(_)) {
            return Ok(Decision::unchanged());
        }
        Ok(Decision::of::<Product>(&product_id, ProductArchived { product_id }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        catalog::Product,
        spec::{Book, code, product},
    };

    #[test]
    fn a_product_is_taken_out_of_sale_once_and_put_on_sale_again() {
        let mut book = Book::with_product("a", 1);
        let id = json!({ "product_id": product(1) });
        book.given("ArchiveProduct", id.clone());
        assert!(!book.state::<Product>(&product(1)).is_published());
        assert_eq!(book.when("ArchiveProduct", id.clone()), Ok(vec![]), "it is archived already");
        book.given("PublishProduct", id);
        assert!(book.state::<Product>(&product(1)).is_published());
        assert_eq!(code(book.when("ArchiveProduct", json!({ "product_id": product(9) }))), "product_not_found");
    }
}
