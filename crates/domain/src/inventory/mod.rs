//! Inventory: how much of a SKU is where, and who has a claim on it.
//!
//! One stream per SKU and location. On hand less reserved is never negative unless backorders are on, so nothing is
//! sold that is not there. A reservation has an owner and may have an expiry; expired ones give way when somebody else
//! needs the stock, in the same decision.

pub mod command;
mod decide;
pub mod event;
mod refusal;
mod state;

pub(crate) use decide::{ReservationRequest, let_go, reserve, ship};
pub use refusal::InventoryRefusal;
pub use state::{Reservation, Stock, StockId};
