//! Stock, and the claims on it.

mod mutations;

use std::collections::HashMap;

use async_graphql::{ComplexObject, Context, Error, ID, Object, SimpleObject, dataloader::DataLoader};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

pub(crate) use mutations::InventoryMutation;

use crate::{
    catalog::{Loader, grouped},
    read::{Reader, reader},
    viewer::staff_only,
};

/// How much of a SKU is at a location.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Stock {
    /// The SKU.
    pub(crate) sku: String,
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
    pub(crate) fn key(&self) -> (String, String) {
        (self.sku.clone(), self.location.clone())
    }
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
        of_skus(reader(context)?, &[sku]).await
    }
}

/// How much of SKUs there is.
pub(crate) async fn of_skus(reader: &Reader, skus: &[impl AsRef<str> + Sync]) -> async_graphql::Result<Vec<Stock>> {
    let skus: Vec<&str> = skus.iter().map(AsRef::as_ref).collect();
    reader.rows("SELECT to_json(s) FROM read.stock s WHERE sku = ANY ($1) ORDER BY sku, location", &[&skus]).await
}
