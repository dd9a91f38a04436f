//! Loaders: whatever many rows ask for is fetched in one statement.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use async_graphql::Error;
use serde::Deserialize;
use uuid::Uuid;

use super::{Category, Price, Product, Variant};
use crate::read::Reader;

/// Loads what belongs to products and SKUs.
pub(crate) struct Loader(pub(crate) Reader);

/// The variants of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct VariantsOf(pub(crate) Uuid);

/// A category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CategoryOf(pub(crate) Uuid);

/// What is known of a SKU: its prices.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BySku(Arc<str>);

impl BySku {
    pub(crate) fn prices(sku: &str) -> Self {
        Self(sku.into())
    }
}

/// How many of a SKU can be had.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct AvailableOf(pub(crate) String);

/// The product that a SKU belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ProductOfSku(pub(crate) String);

impl async_graphql::dataloader::Loader<VariantsOf> for Loader {
    type Value = Vec<Variant>;
    type Error = Error;

    async fn load(&self, keys: &[VariantsOf]) -> Result<HashMap<VariantsOf, Vec<Variant>>, Error> {
        let ids: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
        let sql =
            "SELECT to_json(v) FROM read.product_variants v WHERE product_id = ANY ($1) ORDER BY product_id, ordinal";
        let rows: Vec<Variant> = self.0.rows(sql, &[&ids]).await?;
        Ok(grouped(rows, |row| VariantsOf(row.product_id)))
    }
}

impl async_graphql::dataloader::Loader<CategoryOf> for Loader {
    type Value = Category;
    type Error = Error;

    async fn load(&self, keys: &[CategoryOf]) -> Result<HashMap<CategoryOf, Category>, Error> {
        let ids: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
        let sql = "SELECT to_json(c) FROM read.categories c WHERE category_id = ANY ($1)";
        let rows: Vec<Category> = self.0.rows(sql, &[&ids]).await?;
        Ok(rows.into_iter().map(|row| (CategoryOf(row.category_id), row)).collect())
    }
}

impl async_graphql::dataloader::Loader<BySku> for Loader {
    type Value = Vec<Price>;
    type Error = Error;

    async fn load(&self, keys: &[BySku]) -> Result<HashMap<BySku, Vec<Price>>, Error> {
        let skus: Vec<&str> = keys.iter().map(|key| &*key.0).collect();
        let sql = "SELECT to_json(p) FROM read.sku_prices p WHERE sku = ANY ($1) ORDER BY sku, channel, currency";
        let rows: Vec<Price> = self.0.rows(sql, &[&skus]).await?;
        Ok(grouped(rows, |row| BySku::prices(&row.sku)))
    }
}

impl async_graphql::dataloader::Loader<AvailableOf> for Loader {
    type Value = i64;
    type Error = Error;

    async fn load(&self, keys: &[AvailableOf]) -> Result<HashMap<AvailableOf, i64>, Error> {
        #[derive(Deserialize)]
        struct Available {
            sku: String,
            available: i64,
        }
        let skus: Vec<&str> = keys.iter().map(|key| key.0.as_str()).collect();
        let sql = "SELECT json_build_object('sku', sku, 'available', sum(on_hand - reserved)::bigint)
                   FROM read.stock WHERE sku = ANY ($1) GROUP BY sku";
        let rows: Vec<Available> = self.0.rows(sql, &[&skus]).await?;
        Ok(rows.into_iter().map(|row| (AvailableOf(row.sku), row.available)).collect())
    }
}

impl async_graphql::dataloader::Loader<ProductOfSku> for Loader {
    type Value = Product;
    type Error = Error;

    async fn load(&self, keys: &[ProductOfSku]) -> Result<HashMap<ProductOfSku, Product>, Error> {
        #[derive(Deserialize)]
        struct Owned {
            sku: String,
            product: Product,
        }
        let skus: Vec<&str> = keys.iter().map(|key| key.0.as_str()).collect();
        let sql = "SELECT json_build_object('sku', v.sku, 'product', to_json(p))
                   FROM read.product_variants v JOIN read.products p USING (product_id) WHERE v.sku = ANY ($1)";
        let rows: Vec<Owned> = self.0.rows(sql, &[&skus]).await?;
        Ok(rows.into_iter().map(|row| (ProductOfSku(row.sku), row.product)).collect())
    }
}

/// The rows of each key.
pub(crate) fn grouped<K: Eq + Hash, T>(rows: Vec<T>, key: impl Fn(&T) -> K) -> HashMap<K, Vec<T>> {
    let mut groups: HashMap<K, Vec<T>> = HashMap::new();
    for row in rows {
        groups.entry(key(&row)).or_default().push(row);
    }
    groups
}
