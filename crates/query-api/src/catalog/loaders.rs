//! Loaders of the catalog. Each loads what many rows need in one statement.

use std::collections::HashMap;

use async_graphql::{Error, dataloader};
use uuid::Uuid;

use super::{
    PRODUCT,
    prices::{BySku, Price, Sales, SalesOf},
    statements,
    types::{Category, CategoryOf, Offer, OfferOf, Variant, VariantsOf},
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
            "SELECT jsonb_build_object('product_id', v.product_id, 'sku', v.sku, 'name', v.name, 'options', v.options,
                    'removed', v.removed, 'status', p.status)
             FROM read.product_variants v JOIN read.products p USING (product_id)
             WHERE v.product_id = ANY ($1) AND NOT v.removed ORDER BY v.product_id, v.ordinal",
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
        let ids: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
        let rows: Vec<Category> = self.reader.rows(&statements::CATEGORIES_BY_IDS, &[&ids]).await?;
        Ok(rows.into_iter().map(|row| (CategoryOf(row.category_id), row)).collect())
    }
}

impl dataloader::Loader<BySku> for Loader {
    type Value = Vec<Price>;
    type Error = Error;

    async fn load(&self, keys: &[BySku]) -> Result<HashMap<BySku, Vec<Price>>, Error> {
        const OF_SKUS: Statement = Statement::new(
            &[PRODUCT],
            "SELECT to_json(p) FROM read.sku_prices p WHERE sku = ANY ($1) AND minor_units IS NOT NULL
             ORDER BY sku, channel, currency",
        );
        let skus: Vec<&str> = keys.iter().map(|key| &*key.0).collect();
        let rows: Vec<Price> = self.reader.rows(&OF_SKUS, &[&skus]).await?;
        Ok(grouped(rows, |row| BySku::prices(&row.sku)))
    }
}

impl dataloader::Loader<OfferOf> for Loader {
    type Value = Offer;
    type Error = Error;

    async fn load(&self, keys: &[OfferOf]) -> Result<HashMap<OfferOf, Offer>, Error> {
        const BY_SKUS: Statement = Statement::new(
            &[PRODUCT],
            "SELECT json_build_object('product', to_json(p), 'variant', jsonb_build_object('product_id', v.product_id,
                    'sku', v.sku, 'name', v.name, 'options', v.options, 'removed', v.removed, 'status', p.status))
             FROM read.product_variants v JOIN read.products p USING (product_id) WHERE v.sku = ANY ($1)",
        );
        let skus: Vec<&str> = keys.iter().map(|key| key.0.as_str()).collect();
        let rows: Vec<Offer> = self.reader.rows(&BY_SKUS, &[&skus]).await?;
        Ok(rows.into_iter().map(|row| (OfferOf(row.variant.sku.to_string()), row)).collect())
    }
}

impl dataloader::Loader<SalesOf> for Loader {
    type Value = Sales;
    type Error = Error;

    async fn load(&self, keys: &[SalesOf]) -> Result<HashMap<SalesOf, Sales>, Error> {
        const BY_SKUS: Statement = Statement::new(
            &[PRODUCT],
            "SELECT jsonb_build_object('sku', v.sku, 'variant', v.sales, 'product', p.sales)
             FROM read.product_variants v JOIN read.products p USING (product_id) WHERE v.sku = ANY ($1)",
        );
        let skus: Vec<&str> = keys.iter().map(|key| key.0.as_str()).collect();
        let rows: Vec<Sales> = self.reader.rows(&BY_SKUS, &[&skus]).await?;
        Ok(rows.into_iter().map(|row| (SalesOf(row.sku.clone()), row)).collect())
    }
}
