//! Stock, and its reservations.

use async_graphql::{ComplexObject, Context, ID, SimpleObject, dataloader::DataLoader};
use chrono::{DateTime, Utc};
use daybook_domain::inventory::StockLevel as Level;
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    graphql::{connection::list_size, scalars::Long, viewer::staff_only, weight},
    loaders::Loader,
};

/// The stock of a SKU at a location.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Stock {
    /// The SKU.
    sku: String,
    /// The location.
    location: String,
    /// How many units are there.
    on_hand: Long,
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
    async fn reserved(&self) -> Long {
        Long(self.level().claimed())
    }

    /// How many units can be reserved now without a backorder. Never negative.
    async fn available(&self) -> Long {
        Long(self.level().available())
    }

    /// How many units are promised beyond those that are there.
    async fn backordered(&self) -> Long {
        Long(self.level().free().min(0).saturating_neg())
    }

    /// The reservations; at most the first ones. Only staff see them.
    #[graphql(complexity = "weight::first(first, weight::RESERVATIONS, child_complexity)?")]
    async fn reservations(&self, context: &Context<'_>, first: Option<i32>) -> async_graphql::Result<Vec<Reservation>> {
        staff_only(context)?;
        let most = list_size(first)?;
        let loader = context.data::<DataLoader<Loader>>()?;
        let key = ReservationsAt { sku: self.sku.clone(), location: self.location.clone() };
        let mut reservations = loader.load_one(key).await?.unwrap_or_default();
        reservations.truncate(most);
        Ok(reservations)
    }
}

impl Stock {
    const fn level(&self) -> Level {
        Level { on_hand: self.on_hand.0, reserved: self.reserved, lapsed: self.lapsed, backorders: self.backorders }
    }
}

/// How many units of a SKU are available now. Every viewer may see this.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct StockLevel {
    /// The SKU.
    pub(crate) sku: String,
    /// How many units one order can have without a backorder, from one of the locations that the storefront sends goods from.
    pub(crate) available: Long,
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
