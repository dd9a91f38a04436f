//! Inventory: how much of a SKU is where, and who has a claim on it.
//!
//! One stream per SKU and location. On hand less what is claimed is never negative unless backorders are on, so nothing is
//! sold that is not there. A reservation has an owner and may have an expiry. An expired one does not count as taken, and gives
//! way in the same decision in which another claim needs its stock.

mod adjust_stock;
mod availability;
mod claims;
mod commit_reservation;
mod event;
mod expire_reservation;
pub(crate) mod ids;
pub mod policy;
mod receive_stock;
mod release_stock;
mod reserve_stock;
mod set_backorders;
mod state;
mod transfer_stock;

pub use adjust_stock::{AdjustStock, DeltaOutOfRange};
pub use availability::{
    Availability, Demand, InsufficientStock, Line, NoLongerOnSale, NoPrice, NotOnSale, Part, StockLevel, Supply,
    availability,
};
pub use claims::{ExpiryInThePast, NotOnHand, ReservationExists, ReservationNotFound, ReservationOfOrder};
pub(crate) use claims::{ReservationRequest, release_for_order, reserve, ship};
pub use commit_reservation::{CommitReservation, ReservationExpired};
pub use event::*;
pub use expire_reservation::{ExpireReservation, ReservationNotExpired};
pub use receive_stock::ReceiveStock;
pub use release_stock::ReleaseStock;
pub use reserve_stock::ReserveStock;
pub use set_backorders::SetBackorders;
pub use state::{Reservation, Stock, StockId};
pub use transfer_stock::{SameLocation, TransferStock};

crate::declare::slice! {
    Inventory;
    streams { "stock" => Stock }
    commands {
        ReceiveStock: by ADMIN;
        AdjustStock: by ADMIN;
        ReserveStock: by STAFF;
        ReleaseStock: by STAFF;
        CommitReservation: by STAFF;
        ExpireReservation: by ENGINE;
        TransferStock: by ADMIN;
        SetBackorders: by ADMIN;
    }
    events {
        "inventory.StockReceived" 1 => StockReceived,
        "inventory.StockAdjusted" 1 => StockAdjusted,
        "inventory.StockReserved" 1 => StockReserved,
        "inventory.ReservationReleased" 1 => ReservationReleased,
        "inventory.ReservationCommitted" 1 => ReservationCommitted,
        "inventory.StockTransferredOut" 1 => StockTransferredOut,
        "inventory.StockTransferredIn" 1 => StockTransferredIn,
        "inventory.BackordersAllowed" 1 => BackordersAllowed,
        "inventory.BackordersForbidden" 1 => BackordersForbidden,
    }
    refusals {
        NotOnSale, NoLongerOnSale, NoPrice, InsufficientStock, NotOnHand, ReservationExists, ReservationNotFound, ReservationOfOrder,
        ReservationExpired, ReservationNotExpired, ExpiryInThePast, DeltaOutOfRange, SameLocation,
    }
}
