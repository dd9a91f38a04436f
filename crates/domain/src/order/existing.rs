//! What every change of an order asks first: the order, and whether the table of moves allows the change.

use daybook_kernel::refusals;

use super::{
    Order, OrderRecord,
    moves::{Phase, next_moves},
};
use crate::{
    Context, Rejection, Streams,
    ids::{OrderId, ReservationId},
    inventory::StockId,
};

refusals! {
    /// There is no such order.
    "order_not_found" OrderNotFound: NotFound at "order_id" = "there is no order {order_id}", {
        /// The order.
        order_id: OrderId,
    }
    /// The order is not in a phase from which that can be done, or not by this role.
    "illegal_move" IllegalMove: Rule at "order_id"
        = "{command} cannot be done by this role while the order is {phase}; {}" (in_words(next_moves)), {
        /// The order.
        order_id: OrderId,
        /// The command.
        command: String,
        /// How far the order is.
        phase: Phase,
        /// The commands that this role can send now.
        next_moves: Vec<String>,
    }
}

/// What a role can do, as the end of a sentence.
fn in_words(next_moves: &[String]) -> String {
    match next_moves {
        [] => "it can do nothing with the order now".to_owned(),
        moves => format!("it can do: {}", moves.join(", ")),
    }
}

/// The order, if there is one.
pub(super) fn existing<'a>(order_id: OrderId, streams: &Streams<'a>) -> Result<&'a OrderRecord, Rejection> {
    match streams.get::<Order>(&order_id)? {
        Order::Absent => Err(OrderNotFound { order_id }.into()),
        Order::Existing(order) => Ok(order),
    }
}

/// The order, if the table of moves allows this one.
pub(super) fn check_move<'a>(
    order_id: OrderId,
    command: &'static str,
    context: &Context,
    streams: &Streams<'a>,
) -> Result<&'a OrderRecord, Rejection> {
    let order = existing(order_id, streams)?;
    let (phase, role) = (order.progress.phase(), context.actor.role());
    if next_moves(phase, role).any(|legal| legal.command == command) {
        return Ok(order);
    }
    let next_moves = next_moves(phase, role).map(|legal| legal.command.to_owned()).collect();
    Err(IllegalMove { order_id, command: command.to_owned(), phase, next_moves }.into())
}

/// The order's claims on stock.
pub(super) fn claims(order: &OrderRecord) -> Vec<(StockId, ReservationId)> {
    let claims = order.lines.iter().filter_map(|line| {
        let (location, reservation_id) = line.reserved.clone()?;
        Some((StockId { sku: line.sku.clone(), location }, reservation_id))
    });
    claims.collect()
}
