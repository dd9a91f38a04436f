//! How an order moves on.

use crate::{
    Context, Decide, Decision, Fold, Rejection, View,
    ids::{OrderId, ReservationId},
    inventory::{Stock, StockId, let_go, ship},
    order::{
        Order, OrderRecord, OrderRefusal as Refusal,
        command::*,
        event::*,
        moves::{MOVES, next_moves},
        state::RecordedLine,
    },
};

/// Implements the moves that write one event to the order and nothing else.
macro_rules! one_event_moves {
    ($($command:ident => $event:ident { $($field:ident),* };)*) => {
        $(
            impl Decide for $command {
                fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
                    let order_id = self.order_id;
                    check_move(order_id, stringify!($command), context, view)?;
                    Ok(Decision::of(Order::stream(&order_id), $event { order_id, $($field: self.$field.clone()),* }))
                }
            }
        )*
    };
}

one_event_moves! {
    ConfirmOrder => OrderConfirmed {};
    HoldOrder => OrderHeld { reason };
    ResumeOrder => OrderResumed {};
    StartFulfilment => FulfilmentStarted {};
    DeliverOrder => OrderDelivered {};
    ReturnOrder => OrderReturned { reason };
    RefundOrder => OrderRefunded { reason };
}

impl Decide for ShipOrder {
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let order_id = self.order_id;
        let order = check_move(order_id, "ShipOrder", context, view)?;
        let shipped = Decision::of(Order::stream(&order_id), OrderShipped { order_id });
        let claims = claims(order);
        let stocks = view.get_all::<Stock>(claims.iter().map(|(id, _)| id))?;
        claims.iter().zip(stocks).try_fold(shipped, |decision, ((id, reservation_id), stock)| {
            Ok(decision.and(Stock::stream(id), ship(stock, id, *reservation_id)?))
        })
    }
}

impl Decide for CancelOrder {
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let order_id = self.order_id;
        let order = check_move(order_id, "CancelOrder", context, view)?;
        let reason = self.reason.clone();
        let cancelled = Decision::of(Order::stream(&order_id), OrderCancelled { order_id, reason });
        let claims = claims(order);
        let stocks = view.get_all::<Stock>(claims.iter().map(|(id, _)| id))?;
        let released = claims
            .iter()
            .zip(stocks)
            .filter_map(|((id, reservation_id), stock)| Some((Stock::stream(id), let_go(stock, id, *reservation_id)?)));
        Ok(released.fold(cancelled, |decision, (stream, event)| decision.and(stream, event)))
    }
}

impl Decide for AddNote {
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let order_id = self.order_id;
        existing(order_id, context, view)?;
        Ok(Decision::of(Order::stream(&order_id), NoteAdded { order_id, note: self.note.clone() }))
    }
}

/// The order, if the actor may see it.
fn existing<'a>(order_id: OrderId, context: &Context, view: &View<'a>) -> Result<&'a OrderRecord, Rejection> {
    match &view.get::<Order>(&order_id)?.0 {
        None => Err(Refusal::OrderNotFound { order_id }.into()),
        Some(order) if !context.actor.may_touch(order.customer_id.as_ref()) => {
            Err(Refusal::OrderNotYours { order_id }.into())
        }
        Some(order) => Ok(order),
    }
}

/// The order, if the table of moves allows this one.
fn check_move<'a>(
    order_id: OrderId,
    command: &'static str,
    context: &Context,
    view: &View<'a>,
) -> Result<&'a OrderRecord, Rejection> {
    let order = existing(order_id, context, view)?;
    let role = context.actor.role();
    let phase = order.phase;
    debug_assert!(MOVES.iter().any(|legal| legal.command == command), "{command} is not in the table");
    if next_moves(phase, role).any(|legal| legal.command == command) {
        return Ok(order);
    }
    let next_moves = next_moves(phase, role).map(|legal| legal.command).collect();
    Err(Refusal::IllegalMove { order_id, command, phase, next_moves }.into())
}

/// The order's claims on stock.
fn claims(order: &OrderRecord) -> Vec<(StockId, ReservationId)> {
    let claim = |line: &RecordedLine| {
        let (location, reservation_id) = line.reserved.clone()?;
        Some((StockId { sku: line.sku.clone(), location }, reservation_id))
    };
    order.lines.iter().filter_map(claim).collect()
}
