//! Mutations of the catalog, for the back-office.

use async_graphql::{Context, ID, InputObject, Object};
use serde::{Serialize, Serializer};

use super::{
    CATEGORY, PRODUCT,
    types::{Category, Product, Variant},
};
use crate::{
    graphql::{
        input::{AttributeInput, MoneyInput, by_name},
        mutation::{Intent, MutationResult, inputs, parse, payloads},
    },
    reader::{Statement, reader},
};

/// A variant of the new product.
#[derive(Debug, Clone, InputObject, Serialize)]
pub(crate) struct VariantInput {
    /// The SKU.
    sku: String,
    /// The name of the variant among the variants of its product.
    name: Option<String>,
    /// The options, such as size and colour.
    #[serde(serialize_with = "attributes")]
    options: Option<Vec<AttributeInput>>,
}

inputs! {
    /// Creates a product.
    ProductCreateInput {
        /// The id of the new product. By default it derives from the idempotency key.
        product_id: Option<ID>,
        /// The name.
        name: String,
        /// The slug: the part of a URL that names the product. It is made from the name by default.
        slug: Option<String>,
        /// The description.
        description: Option<String>,
        /// The brand.
        brand: Option<String>,
        /// The categories of the product.
        categories: Option<Vec<ID>>,
        /// Other attributes.
        #[serde(serialize_with = "attributes")]
        attributes: Option<Vec<AttributeInput>>,
        /// The variants.
        variants: Option<Vec<VariantInput>>,
        /// Whether the product is published immediately.
        publish: Option<bool>,
    }
    /// Changes the description of a product. Fields that are left out stay unchanged.
    ProductReviseInput {
        /// The product.
        product_id: ID,
        /// The new name.
        name: Option<String>,
        /// The new slug. The old slug becomes free.
        slug: Option<String>,
        /// The description.
        description: Option<String>,
        /// The brand.
        brand: Option<String>,
        /// All categories of the product.
        categories: Option<Vec<ID>>,
        /// All other attributes.
        #[serde(serialize_with = "attributes_if_given")]
        attributes: Option<Vec<AttributeInput>>,
    }
    /// The product to publish or archive.
    ProductMoveInput {
        /// The product.
        product_id: ID,
    }
    /// Adds a variant to a product.
    VariantAddInput {
        /// The product.
        product_id: ID,
        /// The SKU, which no other variant has had.
        sku: String,
        /// The name of the variant among the variants of its product.
        name: Option<String>,
        /// The options, such as size and colour.
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
        /// The id of the new category. By default it derives from the idempotency key.
        category_id: Option<ID>,
        /// The parent. Without it the category becomes a root.
        parent: Option<ID>,
        /// The name.
        name: String,
    }
    /// Moves a category with its whole subtree.
    CategoryMoveInput {
        /// The category.
        category_id: ID,
        /// The new parent. Without it the category becomes a root.
        parent: Option<ID>,
    }
}

/// `None` is the same as an empty list.
fn attributes<S: Serializer>(given: &Option<Vec<AttributeInput>>, serializer: S) -> Result<S::Ok, S::Error> {
    by_name(given, serializer)
}

/// `None` is left out; an empty list is not.
fn attributes_if_given<S: Serializer>(given: &Option<Vec<AttributeInput>>, serializer: S) -> Result<S::Ok, S::Error> {
    if given.is_some() { by_name(given, serializer) } else { serializer.serialize_none() }
}

payloads! {
    ProductPayload { product: Product } by product;
    VariantPayload { variant: Variant } by variant;
    CategoryPayload { category: Category } by category;
}

async fn product(context: &Context<'_>, id: &str) -> async_graphql::Result<Option<Product>> {
    const BY_ID: Statement = Statement::new(&[PRODUCT], "SELECT to_json(p) FROM read.products p WHERE product_id = $1");
    reader(context)?.row(&BY_ID, &[&parse(id)?]).await
}

async fn variant(context: &Context<'_>, sku: &str) -> async_graphql::Result<Option<Variant>> {
    const BY_SKU: Statement =
        Statement::new(&[PRODUCT], "SELECT to_json(v) FROM read.product_variants v WHERE sku = $1");
    reader(context)?.row(&BY_SKU, &[&sku]).await
}

async fn category(context: &Context<'_>, id: &str) -> async_graphql::Result<Option<Category>> {
    const BY_ID: Statement =
        Statement::new(&[CATEGORY], "SELECT to_json(c) FROM read.categories c WHERE category_id = $1");
    reader(context)?.row(&BY_ID, &[&parse(id)?]).await
}

#[derive(Default)]
pub(crate) struct CatalogMutation;

#[Object]
impl CatalogMutation {
    /// Creates a product.
    async fn product_create(&self, context: &Context<'_>, input: ProductCreateInput) -> MutationResult<ProductPayload> {
        let intent = Intent::of(context, "CreateProduct", &input)?.creating("product_id", "product")?;
        intent.execute("product_id").await
    }

    /// Changes the description of a product.
    async fn product_revise(&self, context: &Context<'_>, input: ProductReviseInput) -> MutationResult<ProductPayload> {
        Intent::of(context, "ReviseProduct", &input)?.execute("product_id").await
    }

    /// Publishes a product: customers see it and can buy it.
    async fn product_publish(&self, context: &Context<'_>, input: ProductMoveInput) -> MutationResult<ProductPayload> {
        Intent::of(context, "PublishProduct", &input)?.execute("product_id").await
    }

    /// Archives a product: it is not for sale any more.
    async fn product_archive(&self, context: &Context<'_>, input: ProductMoveInput) -> MutationResult<ProductPayload> {
        Intent::of(context, "ArchiveProduct", &input)?.execute("product_id").await
    }

    /// Adds a variant to a product.
    async fn variant_add(&self, context: &Context<'_>, input: VariantAddInput) -> MutationResult<ProductPayload> {
        Intent::of(context, "AddVariant", &input)?.execute("product_id").await
    }

    /// Sets the price of a SKU.
    async fn price_set(&self, context: &Context<'_>, input: PriceSetInput) -> MutationResult<VariantPayload> {
        Intent::of(context, "SetPrice", &input)?.execute("sku").await
    }

    /// Creates a category.
    async fn category_create(
        &self,
        context: &Context<'_>,
        input: CategoryCreateInput,
    ) -> MutationResult<CategoryPayload> {
        let intent = Intent::of(context, "CreateCategory", &input)?.creating("category_id", "category")?;
        intent.execute("category_id").await
    }

    /// Moves a category with its whole subtree to another parent.
    async fn category_move(&self, context: &Context<'_>, input: CategoryMoveInput) -> MutationResult<CategoryPayload> {
        Intent::of(context, "MoveCategory", &input)?.execute("category_id").await
    }
}
