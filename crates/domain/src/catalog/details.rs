//! What creating and revising a product have in common.

use daybook_kernel::refusals;

use super::{
    Category, Product, ProductDetails,
    policy::{MAX_ATTRIBUTES, MAX_CATEGORIES},
};
use crate::{
    Refusal, Rejection, Streams,
    ids::{CategoryId, ProductId},
};

refusals! {
    /// There is no such product.
    "product_not_found" ProductNotFound: NotFound at "product_id" = "there is no product {product_id}", {
        /// The product.
        product_id: ProductId,
    }
    /// A product stands in a bounded number of categories.
    "too_many_categories" TooManyCategories: Rule at "categories" = "a product has at most {limit} categories", {
        /// The limit.
        limit: usize,
    }
    /// A product has a bounded number of attributes.
    "too_many_attributes" TooManyAttributes: Rule at "attributes" = "a product has at most {limit} attributes", {
        /// The limit.
        limit: usize,
    }
    /// There is no such category, or it was removed.
    "category_not_found" CategoryNotFound: NotFound at "category_id" = "there is no category {category_id}", {
        /// The category.
        category_id: CategoryId,
    }
}

/// What is said of a product that was created.
pub(super) fn existing(product_id: ProductId, product: &Product) -> Result<&ProductDetails, ProductNotFound> {
    product.details().ok_or(ProductNotFound { product_id })
}

/// Checks how much is said of a product.
pub(super) fn check_counts(categories: usize, attributes: usize) -> Result<(), Refusal> {
    if categories > MAX_CATEGORIES {
        return Err(TooManyCategories { limit: MAX_CATEGORIES }.into());
    }
    if attributes > MAX_ATTRIBUTES {
        return Err(TooManyAttributes { limit: MAX_ATTRIBUTES }.into());
    }
    Ok(())
}

/// Checks that every category stands in the tree.
pub(super) fn check_categories_exist(ids: &[CategoryId], streams: &Streams<'_>) -> Result<(), Rejection> {
    let categories = streams.get_all::<Category>(ids)?;
    match ids.iter().zip(categories).find(|(_, category)| !category.exists()) {
        Some((category_id, _)) => Err(CategoryNotFound { category_id: *category_id }.into()),
        None => Ok(()),
    }
}
