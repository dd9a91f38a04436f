//! Commands: what somebody wants to happen, in the imperative, and who may ask for it.

use chrono::{DateTime, Utc};
use schemars::Schema;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::{
    Actor, Event, Rejection, Role, Slice, StreamName, View, cart::command::*, catalog::command::*, event::schema_of,
    inventory::command::*, order::command::*,
};

/// What a decision knows beside the command and the book: handed in, so that a decision can be repeated.
#[derive(Debug, Clone)]
pub struct Context {
    /// The time of the decision.
    pub now: DateTime<Utc>,
    /// Who asks.
    pub actor: Actor,
    /// The id of the command; ids that a decision needs derive from it.
    pub command_id: Uuid,
}

/// What a command comes to: events over any number of streams, written together or not at all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision {
    /// The events in the order in which they happen.
    pub events: Vec<(StreamName, Event)>,
    /// When they took effect, where that is not now (imported history).
    pub effective_at: Option<DateTime<Utc>>,
}

impl Decision {
    /// A decision for one event.
    #[must_use]
    pub fn of(stream: StreamName, event: impl Into<Event>) -> Self {
        Self::default().and(stream, event)
    }

    /// The same decision with one more event.
    #[must_use]
    pub fn and(mut self, stream: StreamName, event: impl Into<Event>) -> Self {
        self.events.push((stream, event.into()));
        self
    }

    /// The same decision, effective at a time in the past.
    #[must_use]
    pub fn effective_at(mut self, at: DateTime<Utc>) -> Self {
        self.effective_at = Some(at);
        self
    }
}

/// How a command is decided.
pub trait Decide {
    /// Decides: a pure function of the command, the context and what the view shows. A decision that changes nothing is
    /// refused rather than empty, so that every acknowledged command has left its trace in the book.
    ///
    /// # Errors
    /// [`Rejection::Refused`] when a rule says no; [`Rejection::NotLoaded`] when the view lacks a stream.
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection>;
}

/// The public description of a command.
#[derive(Debug, Clone)]
pub struct CommandContract {
    /// The slice it belongs to.
    pub slice: Slice,
    /// Its name, such as `PlaceOrder`.
    pub name: &'static str,
    /// The roles that may send it.
    pub roles: &'static [Role],
    /// The JSON Schema (2020-12) of its body.
    pub schema: Schema,
}

/// Runs the shop.
const ADMIN: &[Role] = &[Role::Admin];
/// Looks after orders.
const STAFF: &[Role] = &[Role::Support, Role::Admin];
/// Anybody; whose things they may touch is decided per cart and order.
const ANYBODY: &[Role] = &[Role::Guest, Role::Customer, Role::Support, Role::Admin];

/// Lists every command once, by slice and with the roles that may send it; the rest of this module follows from the list.
macro_rules! commands {
    ($($slice:ident { $($name:ident: $roles:ident),* $(,)? })*) => {
        /// Anything that can be asked for.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Command {
            $($(
                #[doc = concat!("See [`", stringify!($name), "`].")]
                $name($name),
            )*)*
        }

        impl Command {
            /// The name of the command.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $($(Self::$name(_) => stringify!($name),)*)* }
            }

            /// The slice it belongs to.
            #[must_use]
            pub const fn slice(&self) -> Slice {
                match self { $($(Self::$name(_) => Slice::$slice,)*)* }
            }

            /// The roles that may send the command of this name; `None` when there is no such command.
            #[must_use]
            pub fn roles(name: &str) -> Option<&'static [Role]> {
                match name {
                    $($(stringify!($name) => Some($roles),)*)*
                    _ => None,
                }
            }

            /// Reads the body of the command of this name; `None` when there is no such command.
            ///
            /// # Errors
            /// The deserialiser's, when the body does not have the form of the command.
            pub fn deserialize<'de, D: Deserializer<'de>>(name: &str, body: D) -> Option<Result<Self, D::Error>> {
                match name {
                    $($(stringify!($name) => Some($name::deserialize(body).map(Self::$name)),)*)*
                    _ => None,
                }
            }

            /// The contracts of every command, in the order of the list.
            #[must_use]
            pub fn contracts() -> Vec<CommandContract> {
                vec![$($(CommandContract {
                    slice: Slice::$slice,
                    name: stringify!($name),
                    roles: $roles,
                    schema: schema_of::<$name>(),
                },)*)*]
            }
        }

        impl Decide for Command {
            fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
                match self { $($(Self::$name(command) => command.decide(context, view),)*)* }
            }
        }

        $($(
            impl From<$name> for Command {
                fn from(command: $name) -> Self {
                    Self::$name(command)
                }
            }
        )*)*
    };
}

commands! {
    Catalog {
        CreateProduct: ADMIN,
        ReviseProduct: ADMIN,
        AddVariant: ADMIN,
        SetPrice: ADMIN,
        PublishProduct: ADMIN,
        ArchiveProduct: ADMIN,
        CreateCategory: ADMIN,
        MoveCategory: ADMIN,
    }
    Inventory {
        ReceiveStock: ADMIN,
        AdjustStock: ADMIN,
        ReserveStock: STAFF,
        ReleaseStock: STAFF,
        CommitReservation: STAFF,
        TransferStock: ADMIN,
        SetBackorders: ADMIN,
    }
    Cart {
        OpenCart: ANYBODY,
        AddLine: ANYBODY,
        AddLines: ANYBODY,
        ChangeQuantity: ANYBODY,
        RemoveLine: ANYBODY,
        MergeCarts: ANYBODY,
        AbandonCart: ANYBODY,
    }
    Order {
        PlaceOrder: ANYBODY,
        ConfirmOrder: STAFF,
        HoldOrder: STAFF,
        ResumeOrder: STAFF,
        StartFulfilment: STAFF,
        ShipOrder: STAFF,
        DeliverOrder: STAFF,
        CancelOrder: ANYBODY,
        ReturnOrder: STAFF,
        RefundOrder: STAFF,
        AddNote: STAFF,
        ImportOrder: ADMIN,
    }
}
