//! Queries of the catalog. Customers see published products; staff see all.

use std::borrow::Cow;

use async_graphql::{
    Context, ID, Object, SimpleObject,
    connection::{Connection, EmptyFields},
};
use chrono::DateTime;
use daybook_domain::text;
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
        scalars::Long,
        viewer::viewer,
        weight,
    },
    reader::{Parameters, plain, reader},
};

/// A value of a facet.
#[derive(SimpleObject, serde::Deserialize)]
pub(crate) struct FacetValue {
    /// The value.
    value: String,
    /// How many products have the value.
    count: Long,
}

/// The facets by which products can be filtered.
#[derive(SimpleObject)]
pub(crate) struct Facets {
    /// At most 20 brands, the most frequent first.
    #[graphql(complexity = "weight::list(weight::FACET_VALUES, child_complexity)")]
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
        let (reader, staff, text) = (reader(context)?, viewer(context)?.is_staff(), text::normal(text));
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
                &[&staff, &categories, &brand_of(&filter), &after_key, &after_id, &page.limit()],
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

    /// The products that contain all words of a text, by name. A word of two letters or more matches the words that begin with it, whatever
    /// their case and accents are. Words are those of name, brand, description and SKUs.
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
        let key = |product: &Product| (product.name.clone(), product.product_id);
        let (after_key, after_id) = page.after.clone().unzip();
        let categories = categories_of(context, &filter).await?;
        let staff = viewer(context)?.is_staff();
        let reader = reader(context)?;
        let (words, brand) = (text::query(&query), brand_of(&filter));
        if words.is_empty() {
            return Ok(SearchResult {
                products: page.connection(Vec::new(), key),
                facets: Facets { brands: Vec::new() },
            });
        }
        let rows: Vec<Product> = reader
            .rows(&statements::MATCHING, &[&staff, &categories, &brand, &words, &after_key, &after_id, &page.limit()])
            .await?;
        let products = page.connection(rows, key);
        if !context.look_ahead().field("facets").exists() {
            return Ok(SearchResult { products, facets: Facets { brands: Vec::new() } });
        }
        let parameters: Parameters<'_> = &[&staff, &categories, &brand, &words];
        let brands = reader.rows(&statements::BRANDS_OF_MATCHING, parameters).await?;
        Ok(SearchResult { products, facets: Facets { brands } })
    }

    /// The tree of categories: at most 10,000 nodes, each with the id of its parent.
    #[graphql(complexity = "weight::list(weight::CATEGORY_TREE, child_complexity)")]
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

/// The brand of a filter, in the form in which brands are stored.
fn brand_of(filter: &ProductFilter) -> Option<Cow<'_, str>> {
    filter.brand.as_deref().map(text::normal)
}

/// The categories of a filter, which is checked: the one that it names, and those under it.
async fn categories_of(context: &Context<'_>, filter: &ProductFilter) -> async_graphql::Result<Option<Vec<Uuid>>> {
    plain("brand", filter.brand.as_deref())?;
    let Some(id) = &filter.category_id else { return Ok(None) };
    let id: Uuid = id.parse().map_err(|_| coded("BAD_INPUT", "categoryId is not the id of a category"))?;
    reader(context)?.rows(&statements::SUBTREE, &[&id, &filter.include_subcategories]).await.map(Some)
}
