//! `stock`: how much is where, and the open reservations.

use chrono::{DateTime, SubsecRound, Utc};
use daybook_domain::{
    Event, Slice,
    ids::{LocationId, ReservationId, ReservationOwner, Sku},
    inventory,
};
use futures::FutureExt;

use crate::{
    engine::{
        recorded::Recorded,
        store::{Row, SECOND_DIGITS},
        view::ViewSpec,
    },
    row,
};

pub(in crate::views) static VIEW: ViewSpec = ViewSpec {
    name: "stock",
    slices: &[Slice::Inventory],
    tables: &[Stock::TABLE, Reservation::TABLE],
    revision: 2,
    project: |store, events| {
        async move {
            store.fold(events, Stock::key_of, Stock::fold).await?;
            store.fold(events, Reservation::key_of, Reservation::fold).await?;
            Ok(())
        }
        .boxed()
    },
};

row! {
    /// How much of a SKU is at a location.
    pub(in crate::views) struct Stock in stock {
        key StockKey { sku: Sku, location: LocationId }
        on_hand: i64,
        reserved: i64,
        backorders: bool,
        updated_at: DateTime<Utc>,
        position: i64,
    }
}

/// Where an event of this slice took place, and what it did to what is on hand and what is reserved.
fn effect(event: &Event) -> Option<(StockKey, i64, i64)> {
    let at = |sku: &Sku, location: &LocationId| StockKey { sku: sku.clone(), location: location.clone() };
    let Event::Inventory(event) = event else { return None };
    Some(match event {
        inventory::Event::StockReceived(e) => (at(&e.sku, &e.location), e.quantity.signed(), 0),
        inventory::Event::StockAdjusted(e) => (at(&e.sku, &e.location), i64::from(e.delta), 0),
        inventory::Event::StockTransferredIn(e) => (at(&e.sku, &e.location), e.quantity.signed(), 0),
        inventory::Event::StockTransferredOut(e) => (at(&e.sku, &e.location), -e.quantity.signed(), 0),
        inventory::Event::StockReserved(e) => (at(&e.sku, &e.location), 0, e.quantity.signed()),
        inventory::Event::ReservationReleased(e) => (at(&e.sku, &e.location), 0, -e.quantity.signed()),
        inventory::Event::ReservationCommitted(e) => {
            (at(&e.sku, &e.location), -e.quantity.signed(), -e.quantity.signed())
        }
        inventory::Event::BackordersAllowed(e) => (at(&e.sku, &e.location), 0, 0),
        inventory::Event::BackordersForbidden(e) => (at(&e.sku, &e.location), 0, 0),
    })
}

impl Stock {
    fn key_of(recorded: &Recorded) -> Option<StockKey> {
        effect(&recorded.event).map(|(key, ..)| key)
    }

    fn fold(row: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let Some((StockKey { sku, location }, on_hand, reserved)) = effect(&recorded.event) else { return row };
        let (before_on_hand, before_reserved, before_backorders) =
            row.map_or((0, 0, false), |row| (row.on_hand, row.reserved, row.backorders));
        Some(Self {
            sku,
            location,
            on_hand: before_on_hand + on_hand,
            reserved: before_reserved + reserved,
            backorders: match recorded.event {
                Event::Inventory(inventory::Event::BackordersAllowed(_)) => true,
                Event::Inventory(inventory::Event::BackordersForbidden(_)) => false,
                _ => before_backorders,
            },
            updated_at: recorded.record.effective_at,
            position: recorded.record.position,
        })
    }
}

row! {
    /// An open reservation.
    pub(in crate::views) struct Reservation in reservations {
        key ReservationKey { sku: Sku, location: LocationId, reservation_id: ReservationId }
        owner: ReservationOwner,
        quantity: i64,
        expires_at: Option<DateTime<Utc>>,
    }
    indexes {
        // What has expired is found without a look at reservations that do not expire.
        "(sku, location, expires_at) INCLUDE (quantity) WHERE expires_at IS NOT NULL",
    }
}

impl Reservation {
    fn key_of(recorded: &Recorded) -> Option<ReservationKey> {
        let (StockKey { sku, location }, ..) = effect(&recorded.event)?;
        let Event::Inventory(event) = &recorded.event else { return None };
        let reservation_id = match event {
            inventory::Event::StockReserved(e) => e.reservation_id,
            inventory::Event::ReservationReleased(e) => e.reservation_id,
            inventory::Event::ReservationCommitted(e) => e.reservation_id,
            inventory::Event::StockReceived(_)
            | inventory::Event::StockAdjusted(_)
            | inventory::Event::StockTransferredIn(_)
            | inventory::Event::StockTransferredOut(_)
            | inventory::Event::BackordersAllowed(_)
            | inventory::Event::BackordersForbidden(_) => return None,
        };
        Some(ReservationKey { sku, location, reservation_id })
    }

    fn fold(row: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let Event::Inventory(event) = &recorded.event else { return row };
        match event {
            inventory::Event::StockReserved(e) => Some(Self {
                sku: e.sku.clone(),
                location: e.location.clone(),
                reservation_id: e.reservation_id,
                owner: e.owner.clone(),
                quantity: e.quantity.signed(),
                expires_at: e.expires_at.map(|at| at.trunc_subsecs(SECOND_DIGITS)),
            }),
            inventory::Event::ReservationReleased(_) | inventory::Event::ReservationCommitted(_) => None,
            _ => row,
        }
    }
}
