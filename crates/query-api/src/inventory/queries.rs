//! Queries of stock.

use async_graphql::{Context, Object};
use daybook_domain::ids::Sku;

use super::types::{Stock, StockLevel};
use crate::{
    graphql::{error::coded, viewer::staff_only},
    reader::{Reader, Statement, View, reader},
};

#[derive(Default)]
pub(crate) struct InventoryQuery;

#[Object]
impl InventoryQuery {
    /// The stock of a SKU, by location.
    async fn stock(&self, context: &Context<'_>, sku: String) -> async_graphql::Result<Vec<Stock>> {
        staff_only(context)?;
        of_sku(reader(context)?, &self::sku(&sku)?).await
    }
}

/// How much of a SKU there is, by location.
pub(super) async fn of_sku(reader: &Reader, sku: &Sku) -> async_graphql::Result<Vec<Stock>> {
    const OF_SKU: Statement =
        Statement::new(&[View::Stock], "SELECT to_json(s) FROM read.stock s WHERE sku = $1 ORDER BY location");
    reader.rows(&OF_SKU, &[&sku.as_str()]).await
}

/// Checks a SKU.
pub(super) fn sku(text: &str) -> async_graphql::Result<Sku> {
    Sku::new(text).map_err(|error| coded("BAD_INPUT", format!("{text:?} is not a SKU: {error}")))
}

/// How many of SKUs can be had.
pub(super) async fn levels(reader: &Reader, skus: &[Sku]) -> async_graphql::Result<Vec<StockLevel>> {
    const OF_SKUS: Statement = Statement::new(
        &[View::Stock],
        "SELECT json_build_object('sku', sku, 'available', sum(on_hand - reserved)::bigint)
         FROM read.stock WHERE sku = ANY ($1) GROUP BY sku ORDER BY sku",
    );
    let skus: Vec<&str> = skus.iter().map(Sku::as_str).collect();
    reader.rows(&OF_SKUS, &[&skus]).await
}
