//! Orders: the promise that was made to a customer, and how far it was kept.
//!
//! Checkout is one decision over cart, prices, stock and order. What was agreed is frozen in [`OrderPlaced`](event::OrderPlaced)
//! and never computed again. Which moves are legal, from which phase and by whom, is data: see [`moves`].

pub mod command;
mod decide;
pub mod event;
mod import;
pub mod moves;
mod place;
mod refusal;
mod state;

pub use refusal::OrderRefusal;
pub use state::{Order, OrderRecord, Progress};
