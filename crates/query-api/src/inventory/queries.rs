//! Queries of stock.

use async_graphql::{Context, Object};
use chrono::{DateTime, Utc};
use daybook_domain::ids::Sku;

use super::types::{Stock, StockLevel};
use crate::{
    graphql::{environment::Now, error::coded, viewer::staff_only},
    reader::{Reader, Statement, View, reader},
};

#[derive(Default)]
pub(crate) struct InventoryQuery;

#[Object]
impl InventoryQuery {
    /// The stock of a SKU, by location.
    async fn stock(&self, context: &Context<'_>, sku: String) -> async_graphql::Result<Vec<Stock>> {
        staff_only(context)?;
        of_sku(context, &self::sku(&sku)?).await
    }
}

/// The stock of a SKU, by location.
pub(super) async fn of_sku(context: &Context<'_>, sku: &Sku) -> async_graphql::Result<Vec<Stock>> {
    of_skus(reader(context)?, &[sku.as_str()], context.data::<Now>()?.time()).await
}

/// Checks a SKU.
pub(super) fn sku(text: &str) -> async_graphql::Result<Sku> {
    Sku::new(text).map_err(|error| coded("BAD_INPUT", format!("{text:?} is not a SKU: {error}")))
}

/// The availability of SKUs at all locations together.
pub(super) async fn levels(
    reader: &Reader,
    skus: &[&str],
    now: DateTime<Utc>,
) -> async_graphql::Result<Vec<StockLevel>> {
    let mut levels: Vec<StockLevel> = Vec::new();
    for stock in of_skus(reader, skus, now).await? {
        let available = stock.availability();
        match levels.last_mut() {
            Some(level) if level.sku == stock.sku => level.available = level.available.saturating_add(available),
            _ => levels.push(StockLevel { sku: stock.sku, available }),
        }
    }
    Ok(levels)
}

/// The stocks of SKUs in the order of SKU and location, with the reservations that have expired at `now`.
async fn of_skus(reader: &Reader, skus: &[&str], now: DateTime<Utc>) -> async_graphql::Result<Vec<Stock>> {
    const OF_SKUS: Statement = Statement::new(
        &[View::Stock],
        "SELECT json_build_object('sku', s.sku, 'location', s.location, 'on_hand', s.on_hand, 'reserved', s.reserved,
                'lapsed', coalesce(l.lapsed, 0), 'backorders', s.backorders, 'updated_at', s.updated_at)
         FROM read.stock s
         LEFT JOIN (SELECT sku, location, sum(quantity)::bigint AS lapsed FROM read.reservations
                    WHERE sku = ANY ($1) AND expires_at <= $2 GROUP BY sku, location) l USING (sku, location)
         WHERE s.sku = ANY ($1) ORDER BY s.sku, s.location",
    );
    reader.rows(&OF_SKUS, &[&skus, &now]).await
}
