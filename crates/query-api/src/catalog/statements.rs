//! The statements of the catalog's queries. In all of them `$1` says whether the viewer is staff: staff also see products that are not
//! published.

use super::{
    CATEGORY, PRODUCT,
    types::{ProductFilter, ProductSort},
};
use crate::reader::Statement;

/// A product by a key, which is `$2`.
macro_rules! product {
    ($condition:literal) => {
        Statement::new(
            &[PRODUCT],
            concat!("SELECT to_json(p) FROM read.products p WHERE ($1 OR p.status = 'published') AND ", $condition),
        )
    };
}

/// A product by its id.
pub(super) const BY_ID: Statement = product!("p.product_id = $2::text::uuid");
/// The product that a slug leads to at `$3`: its slug of now, or an old one.
pub(super) const BY_SLUG: Statement = product!(
    "p.product_id = (SELECT s.product_id FROM read.product_slugs s WHERE s.slug = $2 AND (s.until IS NULL OR s.until > $3))"
);
/// The product of a SKU.
pub(super) const BY_SKU: Statement =
    product!("p.product_id = (SELECT v.product_id FROM read.product_variants v WHERE v.sku = $2 AND NOT v.removed)");

/// The category `$1`, and all that stands under it unless `$2` is false. What stands under a removed category counts as standing under
/// its parent, and a product in it as standing in its parent.
pub(super) const SUBTREE: Statement = Statement::new(
    &[CATEGORY],
    "WITH RECURSIVE subtree AS (
         SELECT c.category_id FROM read.categories c WHERE c.category_id = $1 AND NOT c.removed
         UNION
         SELECT c.category_id FROM subtree s JOIN read.categories c ON c.parent_id = s.category_id
         WHERE $2::boolean OR c.removed)
     SELECT to_json(category_id) FROM subtree",
);

/// A page of the products that satisfy a condition. `$2` are the categories and `$3` the brand of the filter, `$4` and `$5` are the
/// cursor, and `$6` is how many. The condition always contains the cursor, which is before all products by default. So
/// PostgreSQL reads an index in the order of the page from the cursor on.
macro_rules! page {
    ($products:literal, $condition:literal, by_name) => {
        page!(
            $products,
            $condition,
            "(p.name, p.product_id) > (coalesce($4::text, ''),
                                       coalesce($5::uuid, '00000000-0000-0000-0000-000000000000'))",
            "p.name, p.product_id"
        )
    };
    ($products:literal, $condition:literal, newest) => {
        page!(
            $products,
            $condition,
            "(p.created_at, p.product_id) < (coalesce($4::text::timestamptz, 'infinity'),
                                             coalesce($5::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))",
            "p.created_at DESC, p.product_id DESC"
        )
    };
    ($products:literal, $condition:literal, $after:literal, $order:literal) => {
        Statement::new(
            &[PRODUCT],
            concat!(
                "SELECT to_json(p) FROM ",
                $products,
                " p WHERE ($1 OR p.status = 'published') AND ",
                $condition,
                " AND ",
                $after,
                " ORDER BY ",
                $order,
                " LIMIT $6"
            ),
        )
    };
}

/// The products of categories. No index has them in order. `OFFSET 0` keeps PostgreSQL from searching an ordered index of all products
/// for the few of a small category.
macro_rules! category {
    ($order:ident) => {
        page!("(SELECT * FROM read.products WHERE category_ids && $2::uuid[] OFFSET 0)", "$3::text IS NULL", $order)
    };
}

/// The statement for a filter and a sort order: one for each index that finds the products.
pub(super) fn page(sort: ProductSort, filter: &ProductFilter) -> &'static Statement {
    const ALL_BY_NAME: Statement = page!("read.products", "$2::uuid[] IS NULL AND $3::text IS NULL", by_name);
    const ALL_NEWEST: Statement = page!("read.products", "$2::uuid[] IS NULL AND $3::text IS NULL", newest);
    const OF_BRAND_BY_NAME: Statement =
        page!("read.products", "p.brand = $3 AND ($2::uuid[] IS NULL OR p.category_ids && $2)", by_name);
    const OF_BRAND_NEWEST: Statement =
        page!("read.products", "p.brand = $3 AND ($2::uuid[] IS NULL OR p.category_ids && $2)", newest);
    const IN_CATEGORY_BY_NAME: Statement = category!(by_name);
    const IN_CATEGORY_NEWEST: Statement = category!(newest);
    match (filter, sort) {
        (ProductFilter { brand: Some(_), .. }, ProductSort::Name) => &OF_BRAND_BY_NAME,
        (ProductFilter { brand: Some(_), .. }, ProductSort::Newest) => &OF_BRAND_NEWEST,
        (ProductFilter { category_id: Some(_), .. }, ProductSort::Name) => &IN_CATEGORY_BY_NAME,
        (ProductFilter { category_id: Some(_), .. }, ProductSort::Newest) => &IN_CATEGORY_NEWEST,
        (_, ProductSort::Name) => &ALL_BY_NAME,
        (_, ProductSort::Newest) => &ALL_NEWEST,
    }
}

/// Selects from the products that match the query `$4` of words and the filter.
macro_rules! matching {
    ($what:literal, $rest:literal) => {
        Statement::new(
            &[PRODUCT],
            concat!(
                "SELECT ",
                $what,
                " FROM read.products p WHERE p.search @@ $4::text::tsquery
                 AND ($1 OR p.status = 'published') AND ($2::uuid[] IS NULL OR p.category_ids && $2)
                 AND ($3::text IS NULL OR p.brand = $3) AND ",
                $rest
            ),
        )
    };
}

/// The products that match a text, by name; `$5` and `$6` are the cursor, and `$7` is how many.
pub(super) const MATCHING: Statement = matching!(
    "to_json(p)",
    "($5::text IS NULL OR (p.name, p.product_id) > ($5, $6::uuid)) ORDER BY p.name, p.product_id LIMIT $7"
);
/// The brands of the products that match a text, and how many products each has.
pub(super) const BRANDS_OF_MATCHING: Statement = matching!(
    "json_build_object('value', p.brand, 'count', count(*))",
    "p.brand IS NOT NULL GROUP BY p.brand ORDER BY count(*) DESC, p.brand LIMIT 20"
);

/// Categories that stand in the tree, each with the nearest parent that does.
macro_rules! categories {
    ($condition:literal) => {
        Statement::new(
            &[CATEGORY],
            concat!(
                "SELECT json_build_object('category_id', c.category_id, 'name', c.name, 'parent_id',
                        CASE WHEN NOT coalesce(p.removed, false) THEN c.parent_id ELSE (
                            WITH RECURSIVE above AS (
                                SELECT p.parent_id AS category_id
                                UNION
                                SELECT a.parent_id FROM above JOIN read.categories a USING (category_id) WHERE a.removed)
                            SELECT a.category_id FROM above JOIN read.categories a USING (category_id) WHERE NOT a.removed
                        ) END)
                 FROM read.categories c LEFT JOIN read.categories p ON p.category_id = c.parent_id
                 WHERE NOT c.removed AND ",
                $condition
            ),
        )
    };
}

/// All categories, by name.
pub(super) const CATEGORIES: Statement = categories!("true ORDER BY c.name, c.category_id LIMIT 10000");
/// The categories `$1`.
pub(super) const CATEGORIES_BY_IDS: Statement = categories!("c.category_id = ANY ($1)");
/// The category `$1`.
pub(super) const CATEGORY_BY_ID: Statement = categories!("c.category_id = $1");
