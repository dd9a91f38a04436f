//! The commerce domain. It decides, and does nothing else.
//!
//! A command is a value, [`decide`](command::Decide::decide) is a pure function of that value, a
//! [`Context`](command::Context) and a [`View`](view::View) of folded streams, and its result is either a list of
//! events or a typed [`Refusal`](refusal::Refusal). Folding events into state never fails.
//!
//! What belongs here: the vocabulary (ids, money, quantities), and per slice its commands, events, states,
//! decisions and refusals. What does not: IO, async, clocks, randomness, SQL, HTTP. Time, ids and prices arrive in the
//! command or its context; `clippy.toml` bans the ambient ones.

pub mod actor;
pub mod cart;
pub mod catalog;
pub mod command;
pub mod event;
pub mod ids;
pub mod inventory;
pub mod money;
pub mod order;
pub mod quantity;
pub mod refusal;
pub mod slice;
pub mod state;
pub mod stream;
pub mod text;
pub mod view;

#[cfg(test)]
mod spec;

pub use actor::{Actor, Role};
pub use command::{Command, Context, Decide, Decision};
pub use event::Event;
pub use money::{Currency, Money};
pub use quantity::Quantity;
pub use refusal::{Refusal, Rejection};
pub use slice::Slice;
pub use state::{Fold, State};
pub use stream::StreamName;
pub use view::{Source, View};
