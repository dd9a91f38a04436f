//! Carts: what a visitor or a customer means to buy.
//!
//! A cart holds SKUs and quantities. The price that a line was added at is kept to show that it has changed; what is paid is
//! quoted at checkout. A guest's cart belongs to the bearer of its id; a customer's cart belongs to the customer.

mod abandon_cart;
mod add_line;
mod add_lines;
mod change_quantity;
mod event;
mod expire_cart;
pub(crate) mod ids;
mod lines;
mod merge_carts;
mod open_cart;
mod ownership;
pub mod policy;
mod remove_line;
mod require_open;
mod state;
mod status;

pub use abandon_cart::AbandonCart;
pub use add_line::AddLine;
pub use add_lines::{AddLines, NoLines, TooManyNewLines};
pub use change_quantity::ChangeQuantity;
pub use event::*;
pub use expire_cart::{CartNotExpired, ExpireCart};
pub(crate) use lines::check_line_count;
pub use lines::{LineNotFound, NewLine, QuantityTooLarge, TooManyLines};
pub use merge_carts::{CartsDiffer, MergeCarts, MergeIntoItself, OwnersDiffer};
pub use open_cart::{CartExists, OpenCart};
pub use ownership::{CartNotYours, owner};
pub use remove_line::RemoveLine;
pub(crate) use require_open::require_open;
pub use require_open::{CartClosed, CartExpiredAt, CartNotFound};
pub use state::{Cart, CartLine, OpenedCart};
pub use status::CartStatus;

use crate::ids::CartId;

crate::declare::slice! {
    Cart;
    streams { "cart" => Cart }
    commands {
        OpenCart: by ANYBODY, opens Cart cart_id, for customer_id, channel channel;
        AddLine: by ANYBODY, own Cart cart_id;
        AddLines: by ANYBODY, own Cart cart_id;
        ChangeQuantity: by ANYBODY, own Cart cart_id;
        RemoveLine: by ANYBODY, own Cart cart_id;
        MergeCarts: by ANYBODY, own Cart from, own Cart into;
        AbandonCart: by ANYBODY, own Cart cart_id;
        ExpireCart: by ENGINE;
    }
    events {
        "cart.CartOpened" 2 => CartOpened,
        "cart.LineAdded" 1 => LineAdded,
        "cart.QuantityChanged" 1 => QuantityChanged,
        "cart.LineRemoved" 1 => LineRemoved,
        "cart.CartMerged" 1 => CartMerged,
        "cart.CartMergedInto" 1 => CartMergedInto,
        "cart.CartAbandoned" 1 => CartAbandoned,
        "cart.CartExpired" 1 => CartExpired,
        "cart.CartCheckedOut" 1 => CartCheckedOut,
    }
    refusals {
        CartExists, CartNotFound, CartNotYours, CartClosed, CartExpiredAt, CartNotExpired, NoLines, TooManyNewLines,
        TooManyLines, QuantityTooLarge, LineNotFound, MergeIntoItself, OwnersDiffer, CartsDiffer,
    }
}

impl Event {
    /// The cart that the event is about.
    #[must_use]
    pub const fn cart_id(&self) -> CartId {
        match self {
            Self::CartOpened(e) => e.cart_id,
            Self::LineAdded(e) => e.cart_id,
            Self::QuantityChanged(e) => e.cart_id,
            Self::LineRemoved(e) => e.cart_id,
            Self::CartMerged(e) => e.cart_id,
            Self::CartMergedInto(e) => e.cart_id,
            Self::CartAbandoned(e) => e.cart_id,
            Self::CartExpired(e) => e.cart_id,
            Self::CartCheckedOut(e) => e.cart_id,
        }
    }
}
