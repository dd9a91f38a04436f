//! The two declarations that the vocabulary of the domain follows from: `slice!`, once a slice, and `slices!`, once.
//!
//! A slice names its streams, its commands with who may send them, its events with their type names and versions, and its
//! refusals. The enums, and everything that matches them exhaustively, are generated from that. There is a file for each set:
//! events, commands, states, refusals. It holds the macro for the set of a slice, and the macro for the set of the domain.

mod commands;
mod events;
mod refusals;
mod states;

pub(crate) use commands::{all_commands, command_set};
pub(crate) use daybook_kernel::optional;
pub(crate) use events::{all_events, event_set};
pub(crate) use refusals::{all_refusals, refusal_set};
pub(crate) use states::{all_states, state_set};

/// Declares a slice: `Event`, `Command`, `State` and `Refusal` of its module.
///
/// Access of a command: `by` names the roles that may send it; `own S f` says that the thing of state `S` named by the field
/// `f` has to be the sender's own; `opens S f` that the command begins the thing of state `S` named by `f`; `for f` that the customer in the field `f` has to be the sender; `channel f` and
/// `locations f` that the storefront has to serve what the field `f` names. All but `by` bind buyers only.
macro_rules! slice {
    (
        $Slice:ident;
        streams { $($prefix:literal => $State:ident),* $(,)? }
        commands { $(
            $Command:ident: by $roles:ident $(, own $Owned:ident $own:ident)* $(, opens $Opened:ident $opened:ident)?
                $(, for $customer:ident)? $(, channel $channel:ident)? $(, locations $locations:ident)?;
        )* }
        events { $($type_name:literal $version:literal => $Event:ident),* $(,)? }
        refusals { $($Refusal:ident),* $(,)? }
    ) => {
        crate::declare::event_set! { $Slice: $($type_name $version => $Event),* }
        crate::declare::command_set! { $Slice: $(
            $Command: by $roles $(, own $Owned $own)* $(, opens $Opened $opened)? $(, for $customer)? $(, channel $channel)?
                $(, locations $locations)?;
        )* }
        crate::declare::state_set! { $Slice: $($prefix => $State),* }
        crate::declare::refusal_set! { Some(stringify!($Slice)), $Slice: $($Refusal),* }
    };
}

/// Lists the slices, and generates the enums of the whole domain.
macro_rules! slices {
    ($($(#[$doc:meta])* $Slice:ident $module:ident;)*) => {
        /// A part of the business with its own vocabulary, streams and topic. A slice keeps one name in every crate.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Slice {
            $($(#[$doc])* $Slice,)*
        }

        /// The ids of every slice, and those that belong to none.
        pub mod ids {
            pub use ::daybook_kernel::ids::*;
            $(pub use crate::$module::ids::*;)*
        }

        impl Slice {
            /// Every slice.
            pub const ALL: &'static [Self] = &[$(Self::$Slice),*];

            /// Its name in topics, schemas, types and paths.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$Slice => stringify!($module),)* }
            }

            /// The prefixes of its streams: the part of a stream's name before the first `-`.
            #[must_use]
            pub const fn stream_prefixes(self) -> &'static [&'static str] {
                match self { $(Self::$Slice => $module::State::PREFIXES,)* }
            }
        }

        crate::declare::all_events! { $($Slice $module),* }
        crate::declare::all_commands! { $($Slice $module),* }
        crate::declare::all_states! { $($Slice $module),* }
        crate::declare::all_refusals! { $($Slice $module),* }
    };
}

pub(crate) use {slice, slices};
