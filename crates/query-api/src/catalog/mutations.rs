//! Mutations of the catalog, for the back-office.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, dataloader::DataLoader};
use serde::{Serialize, Serializer};

use super::{
    PRODUCT, statements,
    types::{Category, OfferOf, Product, Variant},
};
use crate::{
    graphql::{
        input::{AttributeInput, MoneyInput, by_name},
        mutation::{Intent, MutationResult, inputs, parse, payloads},
    },
    loaders::Loader,
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
    /// Changes what is said of a product. Fields that are left out stay unchanged, and null empties.
    ProductReviseInput null empties ["name", "slug", "description", "brand", "categories", "attributes"] {
        /// The product.
        product_id: ID,
        /// The new name. A product has a name, so null is refused.
        #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
        name: MaybeUndefined<String>,
        /// The new slug; null for none. The old slug leads to the product for a year.
        #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
        slug: MaybeUndefined<String>,
        /// The description; null for none.
        #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
        description: MaybeUndefined<String>,
        /// The brand; null for none.
        #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
        brand: MaybeUndefined<String>,
        /// All categories of the product; null for none.
        #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
        categories: MaybeUndefined<Vec<ID>>,
        /// All other attributes; null for none.
        #[serde(skip_serializing_if = "MaybeUndefined::is_undefined", serialize_with = "attributes_if_given")]
        attributes: MaybeUndefined<Vec<AttributeInput>>,
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
    /// Changes what is said of a variant. Fields that are left out stay unchanged, and null empties.
    VariantReviseInput null empties ["name", "options"] {
        /// The product.
        product_id: ID,
        /// The SKU of the variant.
        sku: String,
        /// The name of the variant among the variants of its product; null for none.
        #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
        name: MaybeUndefined<String>,
        /// All options; null for none.
        #[serde(skip_serializing_if = "MaybeUndefined::is_undefined", serialize_with = "attributes_if_given")]
        options: MaybeUndefined<Vec<AttributeInput>>,
    }
    /// The variant to remove.
    VariantRemoveInput {
        /// The product.
        product_id: ID,
        /// The SKU of the variant.
        sku: String,
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
    /// The price to remove.
    PriceRemoveInput {
        /// The SKU.
        sku: String,
        /// The channel.
        channel: Option<String>,
        /// The currency of the price.
        currency: String,
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
    /// Renames a category.
    CategoryRenameInput {
        /// The category.
        category_id: ID,
        /// The new name.
        name: String,
    }
    /// The category to remove.
    CategoryRemoveInput {
        /// The category.
        category_id: ID,
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

/// Null stays null.
fn attributes_if_given<S: Serializer>(
    given: &MaybeUndefined<Vec<AttributeInput>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match given.value() {
        Some(attributes) => by_name([attributes], serializer),
        None => serializer.serialize_none(),
    }
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
    let loader = context.data::<DataLoader<Loader>>()?;
    Ok(loader.load_one(OfferOf(sku.to_owned())).await?.map(|offer| offer.variant))
}

async fn category(context: &Context<'_>, id: &str) -> async_graphql::Result<Option<Category>> {
    reader(context)?.row(&statements::CATEGORY_BY_ID, &[&parse(id)?]).await
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

    /// Changes what is said of a variant.
    async fn variant_revise(&self, context: &Context<'_>, input: VariantReviseInput) -> MutationResult<ProductPayload> {
        Intent::of(context, "ReviseVariant", &input)?.execute("product_id").await
    }

    /// Removes a variant from a product: it is not for sale any more. Carts keep their lines, orders and stock stay.
    async fn variant_remove(&self, context: &Context<'_>, input: VariantRemoveInput) -> MutationResult<ProductPayload> {
        Intent::of(context, "RemoveVariant", &input)?.execute("product_id").await
    }

    /// Removes a price: the SKU cannot be bought in this channel and currency any more.
    async fn price_remove(&self, context: &Context<'_>, input: PriceRemoveInput) -> MutationResult<VariantPayload> {
        Intent::of(context, "RemovePrice", &input)?.execute("sku").await
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

    /// Renames a category.
    async fn category_rename(
        &self,
        context: &Context<'_>,
        input: CategoryRenameInput,
    ) -> MutationResult<CategoryPayload> {
        Intent::of(context, "RenameCategory", &input)?.execute("category_id").await
    }

    /// Removes a category. What stood under it or in it stands under or in its parent.
    async fn category_remove(
        &self,
        context: &Context<'_>,
        input: CategoryRemoveInput,
    ) -> MutationResult<CategoryPayload> {
        Intent::of(context, "RemoveCategory", &input)?.execute("category_id").await
    }
}
