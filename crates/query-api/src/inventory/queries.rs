//! Queries of stock.

use async_graphql::{Context, Object};
use chrono::{DateTime, Utc};
use daybook_domain::{
    catalog::Sale,
    ids::{LocationId, Sku},
    inventory::StockLevel,
};
use serde::Deserialize;
use uuid::Uuid;

use super::{STOCK, types::Stock};
use crate::{
    catalog::{PRODUCT, sale_of},
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

/// The stock of SKUs at every location.
pub(super) async fn levels(
    reader: &Reader,
    skus: &[&str],
    now: DateTime<Utc>,
) -> async_graphql::Result<Vec<(String, LocationId, StockLevel)>> {
    const QUANTITIES: Statement = stocks!(", 'location', s.location, 'backorders', s.backorders");
    let rows: Vec<Quantities> = reader.rows(&QUANTITIES, &[&skus, &now]).await?;
    Ok(rows.into_iter().map(Quantities::level).collect())
}

/// The quantities of a stock that its availability depends on.
#[derive(Deserialize)]
struct Quantities {
    sku: String,
    location: LocationId,
    on_hand: i64,
    reserved: i64,
    lapsed: i64,
    backorders: bool,
}

impl Quantities {
    fn level(self) -> (String, LocationId, StockLevel) {
        let Self { sku, location, on_hand, reserved, lapsed, backorders } = self;
        (sku, location, StockLevel { on_hand, reserved, lapsed, backorders })
    }
}

/// A SKU that is watched.
#[derive(Deserialize)]
pub(super) struct Watched {
    pub(super) sku: Sku,
    pub(super) product_id: Uuid,
    status: String,
    removed: bool,
    stocks: Vec<Quantities>,
}

impl Watched {
    /// Whether it is on sale.
    pub(super) fn sale(&self) -> Sale {
        sale_of(&self.status, self.removed)
    }

    /// Its stock at every location.
    pub(super) fn stocks(self) -> Vec<(LocationId, StockLevel)> {
        self.stocks.into_iter().map(Quantities::level).map(|(_, location, level)| (location, level)).collect()
    }
}

/// SKUs with their stock; one that no product has is left out.
pub(super) async fn watched(reader: &Reader, skus: &[&str], now: DateTime<Utc>) -> async_graphql::Result<Vec<Watched>> {
    const OF_SKUS: Statement = Statement::new(
        &[PRODUCT, STOCK],
        "SELECT json_build_object('sku', v.sku, 'product_id', v.product_id, 'removed', v.removed, 'status', p.status, 'stocks', coalesce((
             SELECT json_agg(json_build_object('sku', s.sku, 'location', s.location, 'on_hand', s.on_hand,
                        'reserved', s.reserved, 'backorders', s.backorders, 'lapsed', coalesce((
                            SELECT sum(r.quantity)::bigint FROM read.reservations r
                            WHERE (r.sku, r.location) = (s.sku, s.location) AND r.expires_at <= $2), 0)))
             FROM read.stock s WHERE s.sku = v.sku), '[]'))
         FROM read.product_variants v JOIN read.products p USING (product_id) WHERE v.sku = ANY ($1)",
    );
    reader.rows(&OF_SKUS, &[&skus, &now]).await
}
