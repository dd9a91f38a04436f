//! Loaders of the catalog. Each loads what many rows need in one statement.

use std::collections::HashMap;

use async_graphql::{Error, dataloader};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    CATEGORY, PRODUCT,
    types::{BySku, Category, CategoryOf, Price, Product, ProductOfSku, Variant, VariantsOf},
};
use crate::{
    loaders::{Loader, grouped},
    reader::Statement,
};

impl dataloader::Loader<VariantsOf> for Loader {
    type Value = Vec<Variant>;
    type Error = Error;

    async fn load(&self, keys: &[VariantsOf]) -> Result<HashMap<VariantsOf, Vec<Variant>>, Error> {
        const OF_PRODUCTS: Statement = Statement::new(
            &[PRODUCT],
            "SELECT to_json(v) FROM read.product_variants v WHERE product_id = ANY ($1) ORDER BY product_id, ordinal",
        );
        let ids: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
        let rows: Vec<Variant> = self.reader.rows(&OF_PRODUCTS, &[&ids]).await?;
        Ok(grouped(rows, |row| VariantsOf(row.product_id)))
    }
}

impl dataloader::Loader<CategoryOf> for Loader {
    type Value = Category;
    type Error = Error;

    async fn load(&self, keys: &[CategoryOf]) -> Result<HashMap<CategoryOf, Category>, Error> {
        const BY_IDS: Statement =
            Statement::new(&[CATEGORY], "SELECT to_json(c) FROM read.categories c WHERE category_id = ANY ($1)");
        let ids: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
        let rows: Vec<Category> = self.reader.rows(&BY_IDS, &[&ids]).await?;
        Ok(rows.into_iter().map(|row| (CategoryOf(row.category_id), row)).collect())
    }
}

impl dataloader::Loader<BySku> for Loader {
    type Value = Vec<Price>;
    type Error = Error;

    async fn load(&self, keys: &[BySku]) -> Result<HashMap<BySku, Vec<Price>>, Error> {
        const OF_SKUS: Statement = Statement::new(
            &[PRODUCT],
            "SELECT to_json(p) FROM read.sku_prices p WHERE sku = ANY ($1) ORDER BY sku, channel, currency",
        );
        let skus: Vec<&str> = keys.iter().map(|key| &*key.0).collect();
        let rows: Vec<Price> = self.reader.rows(&OF_SKUS, &[&skus]).await?;
        Ok(grouped(rows, |row| BySku::prices(&row.sku)))
    }
}

impl dataloader::Loader<ProductOfSku> for Loader {
    type Value = Product;
    type Error = Error;

    async fn load(&self, keys: &[ProductOfSku]) -> Result<HashMap<ProductOfSku, Product>, Error> {
        const BY_SKUS: Statement = Statement::new(
            &[PRODUCT],
            "SELECT json_build_object('sku', v.sku, 'product', to_json(p))
             FROM read.product_variants v JOIN read.products p USING (product_id) WHERE v.sku = ANY ($1)",
        );
        #[derive(Deserialize)]
        struct Owned {
            sku: String,
            product: Product,
        }
        let skus: Vec<&str> = keys.iter().map(|key| key.0.as_str()).collect();
        let rows: Vec<Owned> = self.reader.rows(&BY_SKUS, &[&skus]).await?;
        Ok(rows.into_iter().map(|row| (ProductOfSku(row.sku), row.product)).collect())
    }
}
