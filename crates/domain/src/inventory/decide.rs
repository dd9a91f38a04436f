//! How the inventory decides.

use chrono::{DateTime, Datelike, Utc};

use crate::{
    Context, Decide, Decision, Event, Fold, Quantity, Rejection, StreamName, View,
    catalog::SkuRecord,
    ids::{ReservationId, ReservationOwner, Sku},
    inventory::{InventoryRefusal as Refusal, Reservation, Stock, StockId, command::*, event::*},
};

/// The largest adjustment either way: the largest quantity.
const MAX_DELTA: u32 = Quantity::MAX;

impl Decide for ReceiveStock {
    fn decide(&self, _context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let id = StockId { sku: self.sku.clone(), location: self.location.clone() };
        let known = check_known(view, &self.sku);
        view.get::<Stock>(&id)?;
        known?;
        Ok(Decision::of(
            Stock::stream(&id),
            StockReceived {
                sku: id.sku,
                location: id.location,
                quantity: self.quantity,
                reference: self.reference.clone(),
            },
        ))
    }
}

impl Decide for AdjustStock {
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        if self.delta == 0 || self.delta.unsigned_abs() > MAX_DELTA {
            Err(Refusal::DeltaOutOfRange { limit: MAX_DELTA })?;
        }
        let id = StockId { sku: self.sku.clone(), location: self.location.clone() };
        let known = check_known(view, &self.sku);
        let stock = view.get::<Stock>(&id)?;
        known?;
        let mut events = Vec::new();
        if self.delta < 0 && !stock.backorders {
            events = make_room(stock, &id, self.delta.unsigned_abs(), context.now)?;
        }
        let stream = Stock::stream(&id);
        let StockId { sku, location } = id;
        events.push(StockAdjusted { sku, location, delta: self.delta, reason: self.reason.clone() }.into());
        Ok(all(&stream, events))
    }
}

impl Decide for ReserveStock {
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let id = StockId { sku: self.sku.clone(), location: self.location.clone() };
        let known = check_known(view, &self.sku);
        let stock = view.get::<Stock>(&id)?;
        known?;
        check_not_of_order(&self.owner)?;
        let request = ReservationRequest {
            reservation_id: self.reservation_id,
            owner: self.owner.clone(),
            quantity: self.quantity,
            expires_at: self.expires_at,
        };
        let stream = Stock::stream(&id);
        Ok(all(&stream, reserve(stock, id, request, context.now)?))
    }
}

impl Decide for ReleaseStock {
    fn decide(&self, _context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let id = StockId { sku: self.sku.clone(), location: self.location.clone() };
        let stock = view.get::<Stock>(&id)?;
        claim_of_nobodys_order(stock, self.reservation_id)?;
        let event = end(stock, &id, self.reservation_id, Closing::Release(ReleaseCause::GivenUp))?;
        Ok(Decision::of(Stock::stream(&id), event))
    }
}

impl Decide for CommitReservation {
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let id = StockId { sku: self.sku.clone(), location: self.location.clone() };
        let stock = view.get::<Stock>(&id)?;
        let claim = claim_of_nobodys_order(stock, self.reservation_id)?;
        if claim.and_then(|claim| claim.expires_at).is_some_and(|at| at <= context.now) {
            Err(Refusal::ReservationExpired { reservation_id: self.reservation_id })?;
        }
        let event = end(stock, &id, self.reservation_id, Closing::Commit)?;
        Ok(Decision::of(Stock::stream(&id), event))
    }
}

impl Decide for TransferStock {
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        if self.from == self.to {
            Err(Refusal::SameLocation { location: self.from.clone() })?;
        }
        let Self { sku, from, to, quantity } = self.clone();
        let source = StockId { sku: sku.clone(), location: from.clone() };
        let target = StockId { sku: sku.clone(), location: to.clone() };
        let stocks = view.get_all::<Stock>([&source, &target])?;
        let released = make_room(stocks[0], &source, quantity.units(), context.now)?;
        let out = StockTransferredOut { sku: sku.clone(), location: from.clone(), to: to.clone(), quantity };
        let into = StockTransferredIn { sku, location: to, from, quantity };
        Ok(all(&Stock::stream(&source), released).and(Stock::stream(&source), out).and(Stock::stream(&target), into))
    }
}

impl Decide for SetBackorders {
    fn decide(&self, _context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let id = StockId { sku: self.sku.clone(), location: self.location.clone() };
        let known = check_known(view, &self.sku);
        let stock = view.get::<Stock>(&id)?;
        known?;
        let stream = Stock::stream(&id);
        let StockId { sku, location } = id;
        match self.allowed {
            allowed if allowed == stock.backorders => Err(Refusal::BackordersUnchanged { sku, location }.into()),
            true => Ok(Decision::of(stream, BackordersAllowed { sku, location })),
            false => Ok(Decision::of(stream, BackordersForbidden { sku, location })),
        }
    }
}

/// Events of one stream.
fn all(stream: &StreamName, events: Vec<Event>) -> Decision {
    events.into_iter().fold(Decision::default(), |decision, event| decision.and(stream.clone(), event))
}

/// A claim that somebody wants to make.
pub(crate) struct ReservationRequest {
    pub(crate) reservation_id: ReservationId,
    pub(crate) owner: ReservationOwner,
    pub(crate) quantity: Quantity,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// Sees to it that so many units are free: as many expired claims as are in the way give way, oldest first, so that nothing
/// costs more than it must.
fn make_room(stock: &Stock, id: &StockId, units: u32, now: DateTime<Utc>) -> Result<Vec<Event>, Refusal> {
    let mut available = stock.available();
    let mut events = Vec::new();
    for (expired, reservation) in stock.expired(now) {
        if available >= i64::from(units) {
            break;
        }
        available = available.saturating_add(reservation.quantity.signed());
        events.push(released(id, *expired, reservation, ReleaseCause::Expired));
    }
    if available < i64::from(units) { Err(insufficient(id, units, available)) } else { Ok(events) }
}

/// Claims stock.
pub(crate) fn reserve(
    stock: &Stock,
    id: StockId,
    request: ReservationRequest,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, Refusal> {
    let ReservationRequest { reservation_id, owner, quantity, expires_at } = request;
    if stock.reservations.contains_key(&reservation_id) {
        return Err(Refusal::ReservationExists { reservation_id });
    }
    if expires_at.is_some_and(|at| at <= now) {
        return Err(Refusal::ExpiryInThePast);
    }
    if expires_at.is_some_and(|at| at.year() > 9_999) {
        return Err(Refusal::ExpiryOutOfRange);
    }
    let mut events = if stock.backorders { Vec::new() } else { make_room(stock, &id, quantity.units(), now)? };
    let StockId { sku, location } = id;
    events.push(StockReserved { sku, location, reservation_id, owner, quantity, expires_at }.into());
    Ok(events)
}

/// How a claim ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Closing {
    /// The goods stay.
    Release(ReleaseCause),
    /// The goods leave.
    Commit,
}

/// The goods that an order has claimed leave.
pub(crate) fn ship(stock: &Stock, id: &StockId, reservation_id: ReservationId) -> Result<Event, Refusal> {
    end(stock, id, reservation_id, Closing::Commit)
}

/// The goods that an order has claimed are free again; nothing where they are already.
pub(crate) fn let_go(stock: &Stock, id: &StockId, reservation_id: ReservationId) -> Option<Event> {
    end(stock, id, reservation_id, Closing::Release(ReleaseCause::OrderCancelled)).ok()
}

/// The claim, if there is one; it must not be an order's.
fn claim_of_nobodys_order(stock: &Stock, id: ReservationId) -> Result<Option<&Reservation>, Refusal> {
    let claim = stock.reservations.get(&id);
    claim.map_or(Ok(()), |claim| check_not_of_order(&claim.owner)).map(|()| claim)
}

fn check_not_of_order(owner: &ReservationOwner) -> Result<(), Refusal> {
    if owner.is_order() { Err(Refusal::ReservationOfOrder { owner: owner.clone() }) } else { Ok(()) }
}

fn end(stock: &Stock, id: &StockId, reservation_id: ReservationId, closing: Closing) -> Result<Event, Refusal> {
    let StockId { sku, location } = id.clone();
    match (stock.reservations.get(&reservation_id), closing) {
        (Some(reservation), Closing::Release(cause)) => Ok(released(id, reservation_id, reservation, cause)),
        (Some(reservation), Closing::Commit) => {
            let (owner, quantity) = (reservation.owner.clone(), reservation.quantity);
            Ok(ReservationCommitted { sku, location, reservation_id, owner, quantity }.into())
        }
        (None, _) => Err(Refusal::ReservationNotFound { sku, location, reservation_id }),
    }
}

fn released(id: &StockId, reservation_id: ReservationId, reservation: &Reservation, cause: ReleaseCause) -> Event {
    let StockId { sku, location } = id.clone();
    let Reservation { owner, quantity, .. } = reservation.clone();
    ReservationReleased { sku, location, reservation_id, owner, quantity, cause }.into()
}

fn check_known(view: &View<'_>, sku: &Sku) -> Result<(), Rejection> {
    match view.get::<SkuRecord>(sku)?.product_id {
        Some(_) => Ok(()),
        None => Err(Refusal::UnknownSku { sku: sku.clone() }.into()),
    }
}

fn insufficient(id: &StockId, requested: u32, available: i64) -> Refusal {
    let StockId { sku, location } = id.clone();
    Refusal::InsufficientStock { sku, location, requested, available }
}
