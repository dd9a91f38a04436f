//! Revising what is said of a variant.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Product, VariantRevised,
    policy::{MAX_OPTIONS, keys},
    variants::{check_size, existing_variant},
};
use crate::{
    Context, Decide, Decision, Patch, Reads, Rejection, Streams,
    ids::{ProductId, Sku},
    text::Name,
    unique::unique_patch,
};

/// Changes what is said of a variant: what is left out stays as it is, and null empties. Orders keep what they said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviseVariant {
    /// The product.
    pub product_id: ProductId,
    /// The SKU of the variant, which stays its own.
    pub sku: Sku,
    /// What distinguishes it from the other variants; null for nothing.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub name: Patch<Name>,
    /// Its options by name, all of them; null for none.
    #[serde(default, deserialize_with = "unique_patch", skip_serializing_if = "Patch::is_keep")]
    #[schemars(extend("maxProperties" = MAX_OPTIONS, "propertyNames" = keys()))]
    pub options: Patch<BTreeMap<Name, Name>>,
}

impl Decide for ReviseVariant {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Product>(&self.product_id);
    }

    fn decide(&self, _context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let (product_id, sku) = (self.product_id, self.sku.clone());
        let before = existing_variant(product_id, &sku, streams)?;
        let (name, options) = (self.name.applied_to(before.name.as_ref()), self.options.or_empty(&before.options));
        if name == before.name && options == before.options {
            return Ok(Decision::unchanged());
        }
        check_size(&sku, name.as_ref(), &options)?;
        Ok(Decision::of::<Product>(&product_id, VariantRevised { product_id, sku, name, options }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        catalog::{Product, Variant},
        spec::{Book, code, product},
    };

    fn revise(sku: &str, more: &Value) -> Value {
        let mut body = json!({ "product_id": product(1), "sku": sku });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    }

    fn variant(book: &Book) -> Variant {
        let details = book.state::<Product>(&product(1)).details().expect("it exists");
        details.variant(&"a".parse().expect("a SKU")).expect("it has the variant").clone()
    }

    #[test]
    fn name_and_options_of_a_variant_are_changed_kept_and_emptied() {
        let mut book = Book::new();
        let variants = json!([{ "sku": "a", "name": "M", "options": { "size": "M" } }]);
        book.given("CreateProduct", json!({ "product_id": product(1), "name": "Tee", "variants": variants }));
        book.given("ReviseVariant", revise("a", &json!({ "options": { "size": "M", "colour": "red" } })));
        assert_eq!((variant(&book).name.is_some(), variant(&book).options.len()), (true, 2));
        assert_eq!(book.when("ReviseVariant", revise("a", &json!({ "name": "M" }))), Ok(vec![]));
        book.given("ReviseVariant", revise("a", &json!({ "name": null, "options": null })));
        assert_eq!((variant(&book).name, variant(&book).options.len()), (None, 0));
        let long = json!({ "options": { "a": "x".repeat(255), "b": "x".repeat(255), "c": "x".repeat(255) } });
        assert_eq!(code(book.when("ReviseVariant", revise("a", &long))), "variant_too_long");
        assert_eq!(code(book.when("ReviseVariant", revise("b", &json!({ "name": "X" })))), "variant_not_found");
    }
}
