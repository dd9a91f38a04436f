//! Stock, and its reservations.

use async_graphql::{ComplexObject, Context, ID, SimpleObject, dataloader::DataLoader};
use chrono::{DateTime, Utc};
use daybook_domain::inventory::StockLevel as Level;
use serde::Deserialize;
use uuid::Uuid;

use crate::{graphql::viewer::staff_only, loaders::Loader};

/// The stock of a SKU at a location.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Stock {
    /// The SKU.
    sku: String,
    /// The location.
    location: String,
    /// How many units are there.
    on_hand: i64,
    #[graphql(skip)]
    reserved: i64,
    #[graphql(skip)]
    lapsed: i64,
    /// Whether more units may be sold than are there.
    backorders: bool,
    /// When the stock last changed.
    updated_at: DateTime<Utc>,
}

#[ComplexObject]
impl Stock {
    /// How many units are reserved. An expired reservation does not count, whether an event has ended it or not.
    async fn reserved(&self) -> i64 {
        self.level().claimed()
    }

    /// How many units can be reserved now without a backorder. Never negative.
    async fn available(&self) -> i64 {
        self.level().available()
    }

    /// How many units are promised beyond those that are there.
    async fn backordered(&self) -> i64 {
        self.level().free().min(0).saturating_neg()
    }

    /// The reservations; only staff see them.
    async fn reservations(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Reservation>> {
        staff_only(context)?;
        let loader = context.data::<DataLoader<Loader>>()?;
        let key = ReservationsAt { sku: self.sku.clone(), location: self.location.clone() };
        Ok(loader.load_one(key).await?.unwrap_or_default())
    }
}

impl Stock {
    const fn level(&self) -> Level {
        Level { on_hand: self.on_hand, reserved: self.reserved, lapsed: self.lapsed, backorders: self.backorders }
    }
}

/// How many units of a SKU are available now. Every viewer may see this.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct StockLevel {
    /// The SKU.
    pub(crate) sku: String,
    /// How many units one order can have without a backorder, from one of the locations that the storefront sends goods from.
    pub(crate) available: i64,
    /// Whether more units can be ordered than are available.
    pub(crate) backorder: bool,
    /// Whether one unit can be ordered, in stock or on backorder. Prices are not asked for.
    pub(crate) orderable: bool,
}

/// A reservation of stock.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Reservation {
    #[graphql(skip)]
    reservation_id: Uuid,
    #[graphql(skip)]
    pub(super) sku: String,
    #[graphql(skip)]
    pub(super) location: String,
    /// The owner.
    owner: String,
    /// How many units.
    quantity: i64,
    /// When the reservation expires; absent when it never does.
    expires_at: Option<DateTime<Utc>>,
}

#[ComplexObject]
impl Reservation {
    /// The id of the reservation.
    async fn id(&self) -> ID {
        self.reservation_id.into()
    }
}

/// The key of the reservations of a SKU at a location.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ReservationsAt {
    pub(super) sku: String,
    pub(super) location: String,
}

/// The key of the stock of a SKU at every location.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct StockOf(pub(crate) String);
