//! Queries of the catalog. Customers see published products; staff see all.

use async_graphql::{
    Context, ID, Object, SimpleObject,
    connection::{Connection, EmptyFields},
};
use chrono::DateTime;
use uuid::Uuid;

use super::{
    statements,
    types::{Category, Product, ProductFilter, ProductSort},
};
use crate::{
    graphql::{
        connection::{Cursor, Page, is_time_of_row, rows},
        environment::Now,
        error::coded,
        viewer::viewer,
    },
    reader::{Parameters, plain, reader},
};

/// A value of a facet.
#[derive(SimpleObject, serde::Deserialize)]
pub(crate) struct FacetValue {
    /// The value.
    value: String,
    /// How many products have the value.
    count: i64,
}

/// The facets by which products can be filtered.
#[derive(SimpleObject)]
pub(crate) struct Facets {
    /// At most 20 brands, the most frequent first.
    brands: Vec<FacetValue>,
}

/// Products that match a text.
#[derive(SimpleObject)]
pub(crate) struct SearchResult {
    /// The products.
    products: Products,
    /// The facets of the products.
    facets: Facets,
}

/// Products. Their cursor is the value of the sort order, and the id.
type Products = Connection<Cursor<(String, Uuid)>, Product, EmptyFields, EmptyFields>;

/// The cost of each field of a category in the whole tree, which has no pages.
const CATEGORIES_COST: usize = 500;

#[derive(Default)]
pub(crate) struct CatalogQuery;

#[Object]
impl CatalogQuery {
    /// A product by its id, by its slug, or by the SKU of one of its variants. An old slug leads to its product for a year: the slug of the
    /// answer is the one of now.
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
            _ => return Err(coded("BAD_INPUT", "a product is found by one of id, slug and sku")),
        };
        plain(if slug.is_some() { "slug" } else { "sku" }, Some(text))?;
        let (reader, staff) = (reader(context)?, viewer(context)?.is_staff());
        if slug.is_some() {
            return reader.row(statement, &[&staff, &text, &context.data::<Now>()?.time()]).await;
        }
        reader.row(statement, &[&staff, &text]).await
    }

    /// The products that a filter selects.
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
        let page = Page::<(String, Uuid)>::new(of_order, first, after.as_deref(), |(key, _)| match sort {
            ProductSort::Name => is_name(key),
            ProductSort::Newest => is_time(key),
        })?;
        let (after_key, after_id) = page.after.clone().unzip();
        let categories = categories_of(context, &filter).await?;
        let staff = viewer(context)?.is_staff();
        let rows: Vec<Product> = reader(context)?
            .rows(
                statements::page(sort, &filter),
                &[&staff, &categories, &filter.brand, &after_key, &after_id, &page.limit()],
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

    /// The products that contain all words of a text, by name.
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
        let page = Page::<(String, Uuid)>::new("search", first, after.as_deref(), |(name, _)| is_name(name))?;
        let (after_key, after_id) = page.after.clone().unzip();
        let categories = categories_of(context, &filter).await?;
        let staff = viewer(context)?.is_staff();
        let reader = reader(context)?;
        let rows: Vec<Product> = reader
            .rows(
                &statements::MATCHING,
                &[&staff, &categories, &filter.brand, &query, &after_key, &after_id, &page.limit()],
            )
            .await?;
        let products = page.connection(rows, |product| (product.name.clone(), product.product_id));
        if !context.look_ahead().field("facets").exists() {
            return Ok(SearchResult { products, facets: Facets { brands: Vec::new() } });
        }
        let parameters: Parameters<'_> = &[&staff, &categories, &filter.brand, &query];
        let brands = reader.rows(&statements::BRANDS_OF_MATCHING, parameters).await?;
        Ok(SearchResult { products, facets: Facets { brands } })
    }

    /// The tree of categories: at most 10,000 nodes, each with the id of its parent.
    #[graphql(complexity = "CATEGORIES_COST * child_complexity")]
    async fn categories(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Category>> {
        reader(context)?.rows(&statements::CATEGORIES, &[]).await
    }
}

/// Whether the key of a cursor can be the name of a product.
fn is_name(key: &str) -> bool {
    !key.contains('\0')
}

/// Whether the key of a cursor is a time as a page writes it. PostgreSQL would also read `now` as a time.
fn is_time(key: &str) -> bool {
    DateTime::parse_from_rfc3339(key)
        .map(|time| time.to_utc())
        .is_ok_and(|time| is_time_of_row(time) && time.to_rfc3339() == key)
}

/// The categories of a filter, which is checked: the one that it names, and those under it.
async fn categories_of(context: &Context<'_>, filter: &ProductFilter) -> async_graphql::Result<Option<Vec<Uuid>>> {
    plain("brand", filter.brand.as_deref())?;
    let Some(id) = &filter.category_id else { return Ok(None) };
    let id: Uuid = id.parse().map_err(|_| coded("BAD_INPUT", "categoryId is not the id of a category"))?;
    reader(context)?.rows(&statements::SUBTREE, &[&id, &filter.include_subcategories]).await.map(Some)
}
