//! Orders: the promise that was made to a customer, and how far it was kept.
//!
//! Checkout is one decision over cart, prices, stock and order. What was agreed is frozen in [`OrderPlaced`] and never computed
//! again. Which moves are legal, from which phase and by whom, is data: see [`moves`].

mod add_note;
mod cancel_order;
mod checkout;
mod confirm_order;
mod deliver_order;
mod event;
mod existing;
mod hold_order;
pub(crate) mod ids;
mod import_order;
pub mod moves;
mod ownership;
mod place_order;
pub mod policy;
mod refund_order;
mod resume_order;
mod return_order;
mod ship_order;
mod start_fulfilment;
mod state;

pub use add_note::AddNote;
pub use cancel_order::CancelOrder;
pub use confirm_order::ConfirmOrder;
pub use deliver_order::DeliverOrder;
pub use event::*;
pub use existing::{IllegalMove, OrderNotFound};
pub use hold_order::HoldOrder;
pub use import_order::{
    AlreadyImported, AmountNegative, DiscountNegative, HistoricalLine, ImportConflict, ImportOrder, LineCount,
    PlacedInTheFuture, QuantityNotPositive, ReferenceTaken,
};
pub use moves::Phase;
pub use ownership::{OrderNotYours, owner};
pub use place_order::{CartEmpty, LocationCount, LocationRepeated, OrderExists, PlaceOrder, TotalChanged};
pub use refund_order::RefundOrder;
pub use resume_order::ResumeOrder;
pub use return_order::ReturnOrder;
pub use ship_order::ShipOrder;
pub use start_fulfilment::StartFulfilment;
pub use state::{Order, OrderRecord, Progress, RecordedLine};

use crate::{cart::Cart, ids::OrderId};

crate::declare::slice! {
    Order;
    streams { "order" => Order }
    commands {
        PlaceOrder: by ANYBODY, own Cart cart_id, locations locations;
        ConfirmOrder: by STAFF;
        HoldOrder: by STAFF;
        ResumeOrder: by STAFF;
        StartFulfilment: by STAFF;
        ShipOrder: by STAFF;
        DeliverOrder: by STAFF;
        CancelOrder: by ANYBODY, own Order order_id;
        ReturnOrder: by STAFF;
        RefundOrder: by STAFF;
        AddNote: by STAFF;
        ImportOrder: by ADMIN;
    }
    events {
        "order.OrderPlaced" 2 => OrderPlaced,
        "order.OrderImported" 2 => OrderImported,
        "order.OrderConfirmed" 1 => OrderConfirmed,
        "order.OrderHeld" 1 => OrderHeld,
        "order.OrderResumed" 1 => OrderResumed,
        "order.FulfilmentStarted" 1 => FulfilmentStarted,
        "order.OrderShipped" 1 => OrderShipped,
        "order.OrderDelivered" 1 => OrderDelivered,
        "order.OrderCancelled" 1 => OrderCancelled,
        "order.OrderReturned" 1 => OrderReturned,
        "order.OrderRefunded" 1 => OrderRefunded,
        "order.NoteAdded" 1 => NoteAdded,
    }
    refusals {
        OrderExists, OrderNotFound, OrderNotYours, CartEmpty, LocationCount, LocationRepeated, TotalChanged, IllegalMove,
        AlreadyImported, ImportConflict, ReferenceTaken, LineCount, QuantityNotPositive, AmountNegative, DiscountNegative, PlacedInTheFuture,
    }
}

impl Event {
    /// The order that the event is about.
    #[must_use]
    pub const fn order_id(&self) -> OrderId {
        match self {
            Self::OrderPlaced(e) => e.order_id,
            Self::OrderImported(e) => e.order_id,
            Self::OrderConfirmed(e) => e.order_id,
            Self::OrderHeld(e) => e.order_id,
            Self::OrderResumed(e) => e.order_id,
            Self::FulfilmentStarted(e) => e.order_id,
            Self::OrderShipped(e) => e.order_id,
            Self::OrderDelivered(e) => e.order_id,
            Self::OrderCancelled(e) => e.order_id,
            Self::OrderReturned(e) => e.order_id,
            Self::OrderRefunded(e) => e.order_id,
            Self::NoteAdded(e) => e.order_id,
        }
    }
}
