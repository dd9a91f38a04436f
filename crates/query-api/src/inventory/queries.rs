//! Queries of stock.

use async_graphql::{Context, Object};
use chrono::{DateTime, Utc};
use daybook_domain::{ids::Sku, inventory::availability};
use serde::Deserialize;

use super::{
    STOCK,
    types::{Stock, StockLevel},
};
use crate::{
    graphql::{environment::Now, error::coded, viewer::staff_only, weight},
    reader::{Reader, Statement, reader},
};

#[derive(Default)]
pub(crate) struct InventoryQuery;

#[Object]
impl InventoryQuery {
    /// The stock of a SKU, by location.
    #[graphql(complexity = "weight::list(weight::LOCATIONS, child_complexity)")]
    async fn stock(&self, context: &Context<'_>, sku: String) -> async_graphql::Result<Vec<Stock>> {
        staff_only(context)?;
        of_sku(context, &self::sku(&sku)?).await
    }
}

/// Selects from the stocks of the SKUs `$1`, each with the sum of its reservations that have expired at `$2`.
macro_rules! stocks {
    ($object:literal) => {
        Statement::new(
            &[STOCK],
            concat!(
                "SELECT json_build_object('sku', s.sku, 'on_hand', s.on_hand, 'reserved', s.reserved,
                        'lapsed', coalesce(l.lapsed, 0)",
                $object,
                ")
                 FROM read.stock s
                 LEFT JOIN (SELECT sku, location, sum(quantity)::bigint AS lapsed FROM read.reservations
                            WHERE sku = ANY ($1) AND expires_at <= $2 GROUP BY sku, location) l USING (sku, location)
                 WHERE s.sku = ANY ($1) ORDER BY s.sku, s.location"
            ),
        )
    };
}

/// The stock of a SKU, by location.
pub(super) async fn of_sku(context: &Context<'_>, sku: &Sku) -> async_graphql::Result<Vec<Stock>> {
    const WHOLE: Statement =
        stocks!(", 'location', s.location, 'backorders', s.backorders, 'updated_at', s.updated_at");
    reader(context)?.rows(&WHOLE, &[&[sku.as_str()].as_slice(), &context.data::<Now>()?.time()]).await
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
    const QUANTITIES: Statement = stocks!("");
    let mut levels: Vec<StockLevel> = Vec::new();
    for Quantities { sku, on_hand, reserved, lapsed } in reader.rows(&QUANTITIES, &[&skus, &now]).await? {
        let available = availability(on_hand, reserved, lapsed);
        match levels.last_mut() {
            Some(level) if level.sku == sku => level.available = level.available.saturating_add(available),
            _ => levels.push(StockLevel { sku, available }),
        }
    }
    Ok(levels)
}

/// The quantities of a stock that its availability depends on.
#[derive(Deserialize)]
struct Quantities {
    sku: String,
    on_hand: i64,
    reserved: i64,
    lapsed: i64,
}
