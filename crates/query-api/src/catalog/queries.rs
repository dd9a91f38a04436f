//! Queries of the catalog. Customers see what is published; staff see everything.

use async_graphql::{
    Context, Enum, ID, InputObject, Object, SimpleObject,
    connection::{Connection, EmptyFields},
};
use uuid::Uuid;

use super::{Category, Product};
use crate::{
    connection::{Cursor, Page, rows},
    read::{plain, reader},
    viewer::{coded, viewer},
};

/// Which products.
#[derive(Default, InputObject)]
pub(crate) struct ProductFilter {
    /// Those shown in this category.
    category_id: Option<ID>,
    /// Those of this brand.
    brand: Option<String>,
}

/// In which order.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ProductSort {
    /// By name.
    Name,
    /// The newest first.
    Newest,
}

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

/// Which rows a viewer sees: `$1` says whether they are staff, `$2` and `$3` are the filter.
const VISIBLE: &str = "($1 OR p.status = 'published') AND ($2::uuid IS NULL OR p.category_ids @> ARRAY[$2])
                       AND ($3::text IS NULL OR p.brand = $3)";

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
        let (condition, text) = match (&id, &slug, &sku) {
            (Some(id), None, None) if id.parse::<Uuid>().is_err() => return Ok(None),
            (Some(id), None, None) => ("p.product_id = $2::text::uuid", id.as_str()),
            (None, Some(slug), None) => ("p.slug = $2", slug.as_str()),
            (None, None, Some(sku)) => {
                ("p.product_id = (SELECT v.product_id FROM read.product_variants v WHERE v.sku = $2)", sku.as_str())
            }
            _ => return Err(coded("BAD_INPUT", "a product is asked for by id, by slug or by sku")),
        };
        plain(if slug.is_some() { "slug" } else { "sku" }, Some(text))?;
        let sql =
            format!("SELECT to_json(p) FROM read.products p WHERE ($1 OR p.status = 'published') AND {condition}");
        reader(context)?.row(&sql, &[&viewer(context)?.is_staff(), &text]).await
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
        let (key, order) = match sort {
            ProductSort::Name => ("(p.name, p.product_id) > ($4::text, $5::uuid)", "p.name, p.product_id"),
            ProductSort::Newest => (
                "(p.created_at, p.product_id) < ($4::text::timestamptz, $5::uuid)",
                "p.created_at DESC, p.product_id DESC",
            ),
        };
        let sql = format!(
            "SELECT to_json(p) FROM read.products p WHERE {VISIBLE} AND ($4::text IS NULL OR {key})
             ORDER BY {order} LIMIT $6"
        );
        let rows: Vec<Product> = reader(context)?
            .rows(&sql, &[&staff, &category, &filter.brand, &after_key, &after_id, &page.limit()])
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
        let matching = format!("{VISIBLE} AND p.search @@ plainto_tsquery('simple', $4)");
        let reader = reader(context)?;
        let sql = format!(
            "SELECT to_json(p) FROM read.products p WHERE {matching}
             AND ($5::text IS NULL OR (p.name, p.product_id) > ($5::text, $6::uuid)) ORDER BY p.name, p.product_id LIMIT $7"
        );
        let rows: Vec<Product> = reader
            .rows(&sql, &[&staff, &category, &filter.brand, &query, &after_key, &after_id, &page.limit()])
            .await?;
        let products = page.connection(rows, |product| (product.name.clone(), product.product_id));
        if !context.look_ahead().field("facets").exists() {
            return Ok(SearchResult { products, facets: Facets { brands: Vec::new() } });
        }
        let facets = format!(
            "SELECT json_build_object('value', p.brand, 'count', count(*)) FROM read.products p
             WHERE {matching} AND p.brand IS NOT NULL GROUP BY p.brand ORDER BY count(*) DESC, p.brand LIMIT 20"
        );
        let brands = reader.rows(&facets, &[&staff, &category, &filter.brand, &query]).await?;
        Ok(SearchResult { products, facets: Facets { brands } })
    }

    /// The tree of categories, every node with its parent; at most 10,000.
    #[graphql(complexity = "CATEGORIES_COST * child_complexity")]
    async fn categories(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Category>> {
        reader(context)?
            .rows("SELECT to_json(c) FROM read.categories c ORDER BY name, category_id LIMIT 10000", &[])
            .await
    }
}

/// The category of a filter whose texts are in order.
fn category_of(filter: &ProductFilter) -> async_graphql::Result<Option<Uuid>> {
    plain("brand", filter.brand.as_deref())?;
    let id = filter.category_id.as_ref().map(|id| id.parse()).transpose();
    id.map_err(|_| coded("BAD_INPUT", "categoryId is not the id of a category"))
}
