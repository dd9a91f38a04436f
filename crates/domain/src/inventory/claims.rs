//! Claims on stock: making one, and ending it. Use cases of the inventory and of orders share this.

use chrono::{DateTime, Utc};
use daybook_kernel::refusals;

use super::{
    Event, InsufficientStock, ReleaseCause, Reservation, ReservationCommitted, ReservationReleased, Stock, StockId,
    StockReserved,
};
use crate::{
    Quantity, Refusal, Rejection, Streams,
    catalog::{SkuRecord, UnknownSku},
    ids::{LocationId, ReservationId, ReservationOwner, Sku},
};

refusals! {
    /// The id is in use.
    "reservation_exists" ReservationExists: Rule at "reservation_id" = "reservation {reservation_id} exists already", {
        /// The reservation.
        reservation_id: ReservationId,
    }
    /// There is no such claim, or it has ended.
    "reservation_not_found" ReservationNotFound: NotFound at "reservation_id"
        = "there is no open reservation {reservation_id} of {sku} at {location}", {
        /// The SKU.
        sku: Sku,
        /// The location.
        location: LocationId,
        /// The reservation.
        reservation_id: ReservationId,
    }
    /// The claims of an order begin and end with the order. Nothing else may free goods that it is going to ship.
    "reservation_of_order" ReservationOfOrder: Rule at "owner" = "reservations of {owner} are made and ended by the order itself", {
        /// Whose claim it is.
        owner: ReservationOwner,
    }
    /// Goods that are not there do not leave. A backorder waits until they have come.
    "not_on_hand" NotOnHand: Rule at "order_id" or "reservation_id" or "delta" or "quantity"
        = "{quantity} of {sku} cannot leave {location}: {on_hand} are there", {
        /// The SKU.
        sku: Sku,
        /// The location.
        location: LocationId,
        /// How many units were to leave.
        quantity: u32,
        /// How many units are there; negative in a book from before this rule.
        on_hand: i64,
    }
    /// A reservation ends after it begins.
    "expiry_in_the_past" ExpiryInThePast: Rule at "expires_at"
        = "the reservation would have expired at {expires_at}, before it began; the time here is {now}", {
        /// When it would have expired.
        expires_at: DateTime<Utc>,
        /// The time of this engine.
        now: DateTime<Utc>,
    }
}

/// A claim that is to be made.
pub(crate) struct ReservationRequest {
    pub(crate) reservation_id: ReservationId,
    pub(crate) owner: ReservationOwner,
    pub(crate) quantity: Quantity,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// Makes a claim.
pub(crate) fn reserve(
    stock: &Stock,
    id: &StockId,
    request: ReservationRequest,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, Refusal> {
    let ReservationRequest { reservation_id, owner, quantity, expires_at } = request;
    if stock.reservations.contains_key(&reservation_id) {
        return Err(ReservationExists { reservation_id }.into());
    }
    if let Some(expires_at) = expires_at.filter(|at| *at <= now) {
        return Err(ExpiryInThePast { expires_at, now }.into());
    }
    let mut events = if stock.backorders { Vec::new() } else { make_room(stock, id, quantity.units(), now)? };
    let StockId { sku, location } = id.clone();
    events.push(StockReserved { sku, location, reservation_id, owner, quantity, expires_at }.into());
    Ok(events)
}

/// Frees units that are needed: as many expired claims as are in the way end, the oldest first, and no more.
pub(super) fn make_room(
    stock: &Stock,
    id: &StockId,
    units: u32,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, InsufficientStock> {
    let level = stock.level(now);
    let available = level.available();
    if available < i64::from(units) {
        let StockId { sku, location } = id.clone();
        return Err(InsufficientStock { sku, requested: units, available, locations: vec![location], line: None });
    }
    let mut free = level.free().saturating_sub(level.lapsed);
    let mut events = Vec::new();
    for (expired, reservation) in stock.expired(now) {
        if free >= i64::from(units) {
            break;
        }
        free = free.saturating_add(reservation.quantity.signed());
        events.push(released(id, *expired, reservation, ReleaseCause::Expired));
    }
    Ok(events)
}

/// Checks that units are there which are about to leave. Claims on them are for another check.
pub(super) fn check_on_hand(stock: &Stock, id: &StockId, quantity: u32) -> Result<(), NotOnHand> {
    if stock.on_hand >= i64::from(quantity) {
        return Ok(());
    }
    let StockId { sku, location } = id.clone();
    Err(NotOnHand { sku, location, quantity, on_hand: stock.on_hand })
}

/// The goods that an order has claimed leave.
pub(crate) fn ship(stock: &Stock, id: &StockId, reservation_id: ReservationId) -> Result<Event, Refusal> {
    committed(stock, id, reservation_id, find(stock, id, reservation_id)?)
}

/// Ends a claim that its owner gives up. One whose time is over has expired, whoever ends it.
pub(super) fn given_up(
    id: &StockId,
    reservation_id: ReservationId,
    reservation: &Reservation,
    now: DateTime<Utc>,
) -> Event {
    let cause = if reservation.has_expired(now) { ReleaseCause::Expired } else { ReleaseCause::GivenUp };
    released(id, reservation_id, reservation, cause)
}

/// Ends the claim of an order that is cancelled; nothing where the claim has ended already.
pub(crate) fn release_for_order(stock: &Stock, id: &StockId, reservation_id: ReservationId) -> Option<Event> {
    let reservation = stock.reservations.get(&reservation_id)?;
    Some(released(id, reservation_id, reservation, ReleaseCause::OrderCancelled))
}

/// The open claim of this id.
pub(super) fn find<'a>(
    stock: &'a Stock,
    id: &StockId,
    reservation_id: ReservationId,
) -> Result<&'a Reservation, ReservationNotFound> {
    stock.reservations.get(&reservation_id).ok_or_else(|| {
        let StockId { sku, location } = id.clone();
        ReservationNotFound { sku, location, reservation_id }
    })
}

/// The open claim of this id, which must not be an order's.
pub(super) fn find_not_of_order<'a>(
    stock: &'a Stock,
    id: &StockId,
    reservation_id: ReservationId,
) -> Result<&'a Reservation, Refusal> {
    let reservation = find(stock, id, reservation_id)?;
    check_not_of_order(&reservation.owner)?;
    Ok(reservation)
}

pub(super) fn check_not_of_order(owner: &ReservationOwner) -> Result<(), ReservationOfOrder> {
    if owner.is_order() { Err(ReservationOfOrder { owner: owner.clone() }) } else { Ok(()) }
}

/// The goods of a claim leave.
pub(super) fn committed(
    stock: &Stock,
    id: &StockId,
    reservation_id: ReservationId,
    reservation: &Reservation,
) -> Result<Event, Refusal> {
    let StockId { sku, location } = id.clone();
    let Reservation { owner, quantity, .. } = reservation.clone();
    check_on_hand(stock, id, quantity.units())?;
    Ok(ReservationCommitted { sku, location, reservation_id, owner, quantity }.into())
}

/// The goods of a claim are free again.
pub(super) fn released(
    id: &StockId,
    reservation_id: ReservationId,
    reservation: &Reservation,
    cause: ReleaseCause,
) -> Event {
    let StockId { sku, location } = id.clone();
    let Reservation { owner, quantity, .. } = reservation.clone();
    ReservationReleased { sku, location, reservation_id, owner, quantity, cause }.into()
}

/// Checks that a product has this SKU.
pub(super) fn check_known(sku: &Sku, streams: &Streams<'_>) -> Result<(), Rejection> {
    match streams.get::<SkuRecord>(sku)?.product_id() {
        Some(_) => Ok(()),
        None => Err(UnknownSku { sku: sku.clone(), line: None }.into()),
    }
}
