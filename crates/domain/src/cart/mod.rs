//! Carts: what a visitor or a customer means to buy.
//!
//! A cart holds SKUs and quantities. The price that a line was added at is kept to show that it has changed; what is paid is
//! quoted anew at checkout. A guest's cart belongs to whoever knows its id; a customer's cart belongs to the customer.

pub mod command;
mod decide;
pub mod event;
mod refusal;
mod state;

pub(crate) use decide::open_cart;
pub use refusal::CartRefusal;
pub use state::{Cart, CartLine, OpenedCart};
