//! Mutations of the catalog, for the back-office.

use async_graphql::{Context, ID, InputObject, Object};
use serde::{Serialize, Serializer};

use super::types::{Category, Product, Variant};
use crate::{
    graphql::{
        input::{AttributeInput, MoneyInput, by_name},
        mutation::{Carried, Done, Intent, inputs, parse, payloads},
    },
    reader::{Statement, View, reader},
};

/// A variant to be sold.
#[derive(Debug, Clone, InputObject, Serialize)]
pub(crate) struct VariantInput {
    /// The SKU.
    sku: String,
    /// What tells it from the others.
    name: Option<String>,
    /// Its options, such as size and colour.
    #[serde(serialize_with = "attributes")]
    options: Option<Vec<AttributeInput>>,
}

inputs! {
    /// Creates a product.
    ProductCreateInput {
        /// The id of the new product; one that derives from the idempotency key when left out.
        product_id: Option<ID>,
        /// What it is called.
        name: String,
        /// Its part of a URL.
        slug: Option<String>,
        /// What it is.
        description: Option<String>,
        /// Whose brand it is.
        brand: Option<String>,
        /// The categories it is shown in.
        categories: Option<Vec<ID>>,
        /// Anything else that is said of it.
        #[serde(serialize_with = "attributes")]
        attributes: Option<Vec<AttributeInput>>,
        /// Its variants.
        variants: Option<Vec<VariantInput>>,
        /// Whether it is published at once.
        publish: Option<bool>,
    }
    /// Changes what is said of a product; what is left out stays as it is.
    ProductReviseInput {
        /// The product.
        product_id: ID,
        /// What it is called from now on.
        name: Option<String>,
        /// Its new part of a URL; the old one becomes free.
        slug: Option<String>,
        /// What it is.
        description: Option<String>,
        /// Whose brand it is.
        brand: Option<String>,
        /// The categories it is shown in, all of them.
        categories: Option<Vec<ID>>,
        /// Anything else that is said of it, all of it.
        #[serde(serialize_with = "attributes_if_given")]
        attributes: Option<Vec<AttributeInput>>,
    }
    /// Names a product.
    ProductMoveInput {
        /// The product.
        product_id: ID,
    }
    /// Adds a variant to a product.
    VariantAddInput {
        /// The product.
        product_id: ID,
        /// The SKU, unused in the whole book.
        sku: String,
        /// What tells it from the other variants.
        name: Option<String>,
        /// Its options, such as size and colour.
        #[serde(serialize_with = "attributes")]
        options: Option<Vec<AttributeInput>>,
    }
    /// Sets a price.
    PriceSetInput {
        /// The SKU.
        sku: String,
        /// The channel.
        channel: Option<String>,
        /// The price of one unit.
        price: MoneyInput,
    }
    /// Creates a category.
    CategoryCreateInput {
        /// The id of the new category; one that derives from the idempotency key when left out.
        category_id: Option<ID>,
        /// The category it stands under; a root when left out.
        parent: Option<ID>,
        /// What it is called.
        name: String,
    }
    /// Moves a category, and all that stands under it.
    CategoryMoveInput {
        /// The category.
        category_id: ID,
        /// Its new parent; it becomes a root when left out.
        parent: Option<ID>,
    }
}

/// None is as good as an empty list.
fn attributes<S: Serializer>(given: &Option<Vec<AttributeInput>>, serializer: S) -> Result<S::Ok, S::Error> {
    by_name(given, serializer)
}

/// None is left out, an empty list is not.
fn attributes_if_given<S: Serializer>(given: &Option<Vec<AttributeInput>>, serializer: S) -> Result<S::Ok, S::Error> {
    if given.is_some() { by_name(given, serializer) } else { serializer.serialize_none() }
}

payloads! {
    ProductPayload { product: Product } by product;
    VariantPayload { variant: Variant } by variant;
    CategoryPayload { category: Category } by category;
}

async fn product(context: &Context<'_>, id: &str) -> Done<Option<Product>> {
    const BY_ID: Statement =
        Statement::new(&[View::Product], "SELECT to_json(p) FROM read.products p WHERE product_id = $1");
    reader(context)?.row(&BY_ID, &[&parse(id)?]).await
}

async fn variant(context: &Context<'_>, sku: &str) -> Done<Option<Variant>> {
    const BY_SKU: Statement =
        Statement::new(&[View::Product], "SELECT to_json(v) FROM read.product_variants v WHERE sku = $1");
    reader(context)?.row(&BY_SKU, &[&sku]).await
}

async fn category(context: &Context<'_>, id: &str) -> Done<Option<Category>> {
    const BY_ID: Statement =
        Statement::new(&[View::Category], "SELECT to_json(c) FROM read.categories c WHERE category_id = $1");
    reader(context)?.row(&BY_ID, &[&parse(id)?]).await
}

#[derive(Default)]
pub(crate) struct CatalogMutation;

#[Object]
impl CatalogMutation {
    /// Creates a product.
    async fn product_create(&self, context: &Context<'_>, input: ProductCreateInput) -> Carried<ProductPayload> {
        let intent = Intent::of(context, "CreateProduct", &input)?.creating("product_id", "product");
        intent.carry_out("product_id").await
    }

    /// Changes what is said of a product.
    async fn product_revise(&self, context: &Context<'_>, input: ProductReviseInput) -> Carried<ProductPayload> {
        Intent::of(context, "ReviseProduct", &input)?.carry_out("product_id").await
    }

    /// Shows a product to customers.
    async fn product_publish(&self, context: &Context<'_>, input: ProductMoveInput) -> Carried<ProductPayload> {
        Intent::of(context, "PublishProduct", &input)?.carry_out("product_id").await
    }

    /// Takes a product out of sale.
    async fn product_archive(&self, context: &Context<'_>, input: ProductMoveInput) -> Carried<ProductPayload> {
        Intent::of(context, "ArchiveProduct", &input)?.carry_out("product_id").await
    }

    /// Adds a variant to a product.
    async fn variant_add(&self, context: &Context<'_>, input: VariantAddInput) -> Carried<ProductPayload> {
        Intent::of(context, "AddVariant", &input)?.carry_out("product_id").await
    }

    /// Sets the price of a SKU.
    async fn price_set(&self, context: &Context<'_>, input: PriceSetInput) -> Carried<VariantPayload> {
        Intent::of(context, "SetPrice", &input)?.carry_out("sku").await
    }

    /// Creates a category.
    async fn category_create(&self, context: &Context<'_>, input: CategoryCreateInput) -> Carried<CategoryPayload> {
        let intent = Intent::of(context, "CreateCategory", &input)?.creating("category_id", "category");
        intent.carry_out("category_id").await
    }

    /// Moves a category, and all that stands under it, to another parent.
    async fn category_move(&self, context: &Context<'_>, input: CategoryMoveInput) -> Carried<CategoryPayload> {
        Intent::of(context, "MoveCategory", &input)?.carry_out("category_id").await
    }
}
