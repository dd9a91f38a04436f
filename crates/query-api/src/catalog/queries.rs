//! Queries of the catalog. Customers see what is published; staff see everything.

use async_graphql::{
    Context, ID, Object, SimpleObject,
    connection::{Connection, EmptyFields},
};
use uuid::Uuid;

use super::{
    statements,
    types::{Category, Product, ProductFilter, ProductSort},
};
use crate::{
    graphql::{
        connection::{Cursor, Page, rows},
        error::coded,
        viewer::viewer,
    },
    reader::{plain, reader},
};

/// How many products have a value.
#[derive(SimpleObject, serde::Deserialize)]
pub(crate) struct FacetValue {
    /// The value.
    value: String,
    /// How many products have it.
    count: i64,
}

/// What products can be narrowed down by.
#[derive(SimpleObject)]
pub(crate) struct Facets {
    /// The brands, the most frequent first; at most 20.
    brands: Vec<FacetValue>,
}

/// Products that match a text.
#[derive(SimpleObject)]
pub(crate) struct SearchResult {
    /// The products.
    products: Products,
    /// What they can be narrowed down by.
    facets: Facets,
}

/// A cursor of products: what they are sorted by, and the id.
type Products = Connection<Cursor<(String, Uuid)>, Product, EmptyFields, EmptyFields>;

/// What the tree of categories costs, as often as fields are asked of its nodes: it has no pages.
const CATEGORIES_COST: usize = 500;

#[derive(Default)]
pub(crate) struct CatalogQuery;

#[Object]
impl CatalogQuery {
    /// A product, by its id, by its part of a URL, or by the SKU of one of its variants.
    async fn product(
        &self,
        context: &Context<'_>,
        id: Option<ID>,
        slug: Option<String>,
        sku: Option<String>,
    ) -> async_graphql::Result<Option<Product>> {
        let (statement, text) = match (&id, &slug, &sku) {
            (Some(id), None, None) if id.parse::<Uuid>().is_err() => return Ok(None),
            (Some(id), None, None) => (&statements::BY_ID, id.as_str()),
            (None, Some(slug), None) => (&statements::BY_SLUG, slug.as_str()),
            (None, None, Some(sku)) => (&statements::BY_SKU, sku.as_str()),
            _ => return Err(coded("BAD_INPUT", "a product is asked for by id, by slug or by sku")),
        };
        plain(if slug.is_some() { "slug" } else { "sku" }, Some(text))?;
        reader(context)?.row(statement, &[&viewer(context)?.is_staff(), &text]).await
    }

    /// Products.
    #[graphql(complexity = "rows(first)? * child_complexity")]
    async fn products(
        &self,
        context: &Context<'_>,
        #[graphql(default)] filter: ProductFilter,
        #[graphql(default_with = "ProductSort::Name")] sort: ProductSort,
        first: Option<i32>,
        after: Option<String>,
    ) -> async_graphql::Result<Products> {
        let of_order = match sort {
            ProductSort::Name => "products by name",
            ProductSort::Newest => "products, newest first",
        };
        let page = Page::<(String, Uuid)>::new(of_order, first, after.as_deref())?;
        let (after_key, after_id) = page.after.clone().unzip();
        let category = category_of(&filter)?;
        let staff = viewer(context)?.is_staff();
        let rows: Vec<Product> = reader(context)?
            .rows(
                statements::page(sort, &filter),
                &[&staff, &category, &filter.brand, &after_key, &after_id, &page.limit()],
            )
            .await?;
        Ok(page.connection(rows, |product| {
            let key = match sort {
                ProductSort::Name => product.name.clone(),
                ProductSort::Newest => product.created_at.to_rfc3339(),
            };
            (key, product.product_id)
        }))
    }

    /// Products that have all the words of a text, by name.
    #[graphql(complexity = "rows(first)? * child_complexity")]
    async fn search(
        &self,
        context: &Context<'_>,
        #[graphql(validator(max_length = 200))] query: String,
        #[graphql(default)] filter: ProductFilter,
        first: Option<i32>,
        after: Option<String>,
    ) -> async_graphql::Result<SearchResult> {
        plain("query", Some(&query))?;
        let page = Page::<(String, Uuid)>::new("search", first, after.as_deref())?;
        let (after_key, after_id) = page.after.clone().unzip();
        let category = category_of(&filter)?;
        let staff = viewer(context)?.is_staff();
        let reader = reader(context)?;
        let rows: Vec<Product> = reader
            .rows(
                &statements::MATCHING,
                &[&staff, &category, &filter.brand, &query, &after_key, &after_id, &page.limit()],
            )
            .await?;
        let products = page.connection(rows, |product| (product.name.clone(), product.product_id));
        if !context.look_ahead().field("facets").exists() {
            return Ok(SearchResult { products, facets: Facets { brands: Vec::new() } });
        }
        let brands = reader.rows(&statements::BRANDS_OF_MATCHING, &[&staff, &category, &filter.brand, &query]).await?;
        Ok(SearchResult { products, facets: Facets { brands } })
    }

    /// The tree of categories, every node with its parent; at most 10,000.
    #[graphql(complexity = "CATEGORIES_COST * child_complexity")]
    async fn categories(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Category>> {
        reader(context)?.rows(&statements::CATEGORIES, &[]).await
    }
}

/// The category of a filter whose texts are in order.
fn category_of(filter: &ProductFilter) -> async_graphql::Result<Option<Uuid>> {
    plain("brand", filter.brand.as_deref())?;
    let id = filter.category_id.as_ref().map(|id| id.parse()).transpose();
    id.map_err(|_| coded("BAD_INPUT", "categoryId is not the id of a category"))
}
