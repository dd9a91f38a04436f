//! Stock.

use async_graphql::{ComplexObject, Context, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::{
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
}

impl Stock {
    /// What tells it from others.
    pub(crate) fn key(&self) -> (String, String) {
        (self.sku.clone(), self.location.clone())
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
pub(crate) async fn of_skus(reader: &Reader, skus: &[String]) -> async_graphql::Result<Vec<Stock>> {
    reader.rows("SELECT to_json(s) FROM read.stock s WHERE sku = ANY ($1) ORDER BY sku, location", &[&skus]).await
}
