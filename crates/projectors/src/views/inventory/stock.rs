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
    revision: 3,
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

/// What an event of this slice did to the stock of a SKU at a location.
struct StockChange {
    key: StockKey,
    /// What it added to what is on hand.
    on_hand: i64,
    /// What it added to what is reserved.
    reserved: i64,
    /// Whether backorders are possible from then on, if the event says so.
    backorders: Option<bool>,
}

impl StockChange {
    fn of(event: &Event) -> Option<Self> {
        let Event::Inventory(event) = event else { return None };
        let change = |sku: &Sku, location: &LocationId, on_hand, reserved| Self {
            key: StockKey { sku: sku.clone(), location: location.clone() },
            on_hand,
            reserved,
            backorders: None,
        };
        Some(match event {
            inventory::Event::StockReceived(e) => change(&e.sku, &e.location, e.quantity.signed(), 0),
            inventory::Event::StockAdjusted(e) => change(&e.sku, &e.location, i64::from(e.delta), 0),
            inventory::Event::StockTransferredIn(e) => change(&e.sku, &e.location, e.quantity.signed(), 0),
            inventory::Event::StockTransferredOut(e) => change(&e.sku, &e.location, -e.quantity.signed(), 0),
            inventory::Event::StockReserved(e) => change(&e.sku, &e.location, 0, e.quantity.signed()),
            inventory::Event::ReservationReleased(e) => change(&e.sku, &e.location, 0, -e.quantity.signed()),
            inventory::Event::ReservationCommitted(e) => {
                change(&e.sku, &e.location, -e.quantity.signed(), -e.quantity.signed())
            }
            inventory::Event::BackordersAllowed(e) => {
                Self { backorders: Some(true), ..change(&e.sku, &e.location, 0, 0) }
            }
            inventory::Event::BackordersForbidden(e) => {
                Self { backorders: Some(false), ..change(&e.sku, &e.location, 0, 0) }
            }
        })
    }
}

impl Stock {
    fn key_of(recorded: &Recorded) -> Option<StockKey> {
        StockChange::of(&recorded.event).map(|change| change.key)
    }

    fn fold(row: Option<Self>, recorded: &Recorded) -> Option<Self> {
        let Some(change) = StockChange::of(&recorded.event) else { return row };
        let StockKey { sku, location } = change.key;
        let (on_hand, reserved, backorders) =
            row.map_or((0, 0, false), |row| (row.on_hand, row.reserved, row.backorders));
        Some(Self {
            sku,
            location,
            on_hand: on_hand + change.on_hand,
            reserved: reserved + change.reserved,
            backorders: change.backorders.unwrap_or(backorders),
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
        let StockKey { sku, location } = StockChange::of(&recorded.event)?.key;
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
            inventory::Event::StockReceived(_)
            | inventory::Event::StockAdjusted(_)
            | inventory::Event::StockTransferredIn(_)
            | inventory::Event::StockTransferredOut(_)
            | inventory::Event::BackordersAllowed(_)
            | inventory::Event::BackordersForbidden(_) => row,
        }
    }
}
