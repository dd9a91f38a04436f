//! Stock, and the claims on it.

mod mutations;

use std::collections::HashMap;

use async_graphql::{ComplexObject, Context, Error, ID, Object, SimpleObject, dataloader::DataLoader};
use chrono::{DateTime, Utc};
use daybook_domain::ids::Sku;
use serde::Deserialize;
use uuid::Uuid;

pub(crate) use mutations::InventoryMutation;

use crate::{
    catalog::{Loader, grouped},
    read::{Reader, reader},
    viewer::{coded, staff_only},
};

/// How much of a SKU is at a location.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Stock {
    /// The SKU.
    sku: String,
    /// The location.
    location: String,
    /// How many are there.
    on_hand: i64,
    /// How many of them are claimed.
    reserved: i64,
    /// Whether more may be sold than are there.
    backorders: bool,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

#[ComplexObject]
impl Stock {
    /// How many can be claimed.
    async fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }

    /// The claims on it, for staff.
    async fn reservations(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Reservation>> {
        staff_only(context)?;
        let loader = context.data::<DataLoader<Loader>>()?;
        Ok(loader.load_one(ReservationsAt(self.key())).await?.unwrap_or_default())
    }
}

impl Stock {
    /// What tells it from others.
    fn key(&self) -> (String, String) {
        (self.sku.clone(), self.location.clone())
    }
}

/// How many of a SKU can be had at all locations together: what everybody may know of stock.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
pub(crate) struct StockLevel {
    /// The SKU.
    pub(crate) sku: String,
    /// How many can be had.
    pub(crate) available: i64,
}

/// A claim on stock.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Reservation {
    #[graphql(skip)]
    reservation_id: Uuid,
    #[graphql(skip)]
    sku: String,
    #[graphql(skip)]
    location: String,
    /// Whose claim it is.
    owner: String,
    /// How many.
    quantity: i64,
    /// Until when it holds; for ever when absent.
    expires_at: Option<DateTime<Utc>>,
}

#[ComplexObject]
impl Reservation {
    /// Its id.
    async fn id(&self) -> ID {
        self.reservation_id.into()
    }
}

/// The claims on a SKU at a location.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ReservationsAt((String, String));

impl async_graphql::dataloader::Loader<ReservationsAt> for Loader {
    type Value = Vec<Reservation>;
    type Error = Error;

    async fn load(&self, keys: &[ReservationsAt]) -> Result<HashMap<ReservationsAt, Vec<Reservation>>, Error> {
        let (skus, locations): (Vec<&str>, Vec<&str>) =
            keys.iter().map(|ReservationsAt((sku, location))| (sku.as_str(), location.as_str())).unzip();
        let sql = "SELECT to_json(r) FROM read.reservations r
                   WHERE (sku, location) IN (SELECT * FROM unnest($1::text[], $2::text[])) ORDER BY reservation_id";
        let rows: Vec<Reservation> = self.0.rows(sql, &[&skus, &locations]).await?;
        Ok(grouped(rows, |row| ReservationsAt((row.sku.clone(), row.location.clone()))))
    }
}

#[derive(Default)]
pub(crate) struct InventoryQuery;

#[Object]
impl InventoryQuery {
    /// How much of a SKU there is, by location.
    async fn stock(&self, context: &Context<'_>, sku: String) -> async_graphql::Result<Vec<Stock>> {
        staff_only(context)?;
        of_sku(reader(context)?, &self::sku(&sku)?).await
    }
}

/// How much of a SKU there is, by location.
async fn of_sku(reader: &Reader, sku: &Sku) -> async_graphql::Result<Vec<Stock>> {
    reader.rows("SELECT to_json(s) FROM read.stock s WHERE sku = $1 ORDER BY location", &[&sku.as_str()]).await
}

/// A SKU that somebody gave.
pub(crate) fn sku(text: &str) -> async_graphql::Result<Sku> {
    Sku::new(text).map_err(|error| coded("BAD_INPUT", format!("{text:?} is not a SKU: {error}")))
}

/// How many of SKUs can be had.
pub(crate) async fn levels(reader: &Reader, skus: &[Sku]) -> async_graphql::Result<Vec<StockLevel>> {
    let skus: Vec<&str> = skus.iter().map(Sku::as_str).collect();
    let sql = "SELECT json_build_object('sku', sku, 'available', sum(on_hand - reserved)::bigint)
               FROM read.stock WHERE sku = ANY ($1) GROUP BY sku ORDER BY sku";
    reader.rows(sql, &[&skus]).await
}
