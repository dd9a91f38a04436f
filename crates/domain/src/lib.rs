//! The commerce domain. It decides, and does nothing else.
//!
//! A command is a value. [`decide`](Decide::decide) is a pure function of that value, a [`Context`] and the [`Streams`] that it
//! reads. Its result is a list of events or a typed [`Refusal`]. Folding events into state never fails.
//!
//! Each slice is a folder: its declaration in `mod.rs` (streams, commands with who may send them, events, refusals), its ids, its
//! events, its states, its limits and lifetimes in `policy.rs`, and one file per use case with the command, the decision, its
//! refusals and its tests. What does not belong here: IO, async, clocks, randomness, SQL, HTTP. Time and ids arrive in the command or its
//! context; `clippy.toml` bans the ambient ones.

mod declare;

pub mod access;
pub mod amount;
pub mod cart;
pub mod catalog;
pub mod contract;
pub mod decide;
pub mod general;
pub mod inventory;
pub mod order;
pub mod refusal;
pub mod storefront;

#[cfg(test)]
mod spec;

pub use daybook_kernel::{
    Actor, Currency, Fold, MAX_EVENT_BYTES, MAX_STREAMS, Money, Owner, Patch, Personal, Quantity, Reads,
    RefusalContract, RefusalKind, Role, Scalar, Source, StreamName, Timestamp, money, text, unique,
};

pub use access::{Access, Authority, authorise};
pub use contract::{CommandContract, EventContract};
pub use decide::{Context, Decide, Decision, OtherStream, Rejection, Streams};
pub use storefront::Storefront;

declare::slices! {
    /// Products, variants, prices, categories.
    Catalog catalog;
    /// Stock and reservations.
    Inventory inventory;
    /// Carts.
    Cart cart;
    /// Orders, and the checkout that places them.
    Order order;
}

impl Slice {
    /// The slice that a stream belongs to; `None` for a name that no slice uses.
    #[must_use]
    pub fn of_stream(stream: &str) -> Option<Self> {
        let (prefix, _) = stream.split_once('-')?;
        Self::ALL.iter().copied().find(|slice| slice.stream_prefixes().contains(&prefix))
    }
}

impl std::fmt::Display for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl State {
    /// The version of the folds. A snapshot of another version is not used, and its stream is folded from its events. Raise it
    /// whenever the shape of a state or an `evolve` changes.
    pub const FOLD_VERSION: i16 = 4;
}
