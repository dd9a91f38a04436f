//! Taking a line out of a cart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cart, LineNotFound, LineRemoved, require_open::require_open};
use crate::{
    Context, Decide, Decision, Reads, Rejection, Streams,
    ids::{CartId, Sku},
};

/// Takes a line out of a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveLine {
    /// The cart.
    pub cart_id: CartId,
    /// The SKU of the line.
    pub sku: Sku,
}

impl Decide for RemoveLine {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Cart>(&self.cart_id);
    }

    fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { cart_id, sku } = self.clone();
        match require_open(cart_id, context, streams)?.line(&sku) {
            None => Err(LineNotFound { cart_id, sku }.into()),
            Some(_) => Ok(Decision::of::<Cart>(&cart_id, LineRemoved { cart_id, sku })),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::spec::{Book, cart, code, opened};

    #[test]
    fn a_line_is_taken_out_once() {
        let mut book = Book::with_product("a", 1);
        book.with_cart(1, &[("a", 2)]);
        let remove = json!({ "cart_id": cart(1), "sku": "a" });
        book.given("RemoveLine", remove.clone());
        assert_eq!(opened(&book, 1).lines, []);
        assert_eq!(code(book.when("RemoveLine", remove)), "line_not_found");
    }
}
