//! Stock, and the claims on it.

use async_graphql::{ComplexObject, Context, ID, SimpleObject, dataloader::DataLoader};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::{graphql::viewer::staff_only, loaders::Loader};

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
    pub(super) sku: String,
    #[graphql(skip)]
    pub(super) location: String,
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
pub(crate) struct ReservationsAt(pub(super) (String, String));

/// How many of a SKU can be had.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct AvailableOf(pub(crate) String);
