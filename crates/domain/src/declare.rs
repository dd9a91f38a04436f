//! The two declarations that the vocabulary of the domain follows from: `slice!`, once a slice, and `slices!`, once.
//!
//! A slice names its streams, its commands with who may send them, its events with their wire names and versions, and its
//! refusals. The enums, and everything that matches them exhaustively, are generated from that.

/// Declares a slice: `Event`, `Command`, `State` and `Refusal` of its module.
///
/// Access of a command: `by` names the roles that may send it; `own S f` says that the thing of state `S` named by the field
/// `f` has to be the sender's own; `for f` that the customer in the field `f` has to be the sender; `channel f` and
/// `locations f` that the storefront has to serve what the field `f` names. All but `by` bind buyers only.
macro_rules! slice {
    (
        $Slice:ident;
        streams { $($prefix:literal => $State:ident),* $(,)? }
        commands { $(
            $Command:ident: by $roles:ident $(, own $Owned:ident $own:ident)* $(, for $customer:ident)?
                $(, channel $channel:ident)? $(, locations $locations:ident)?;
        )* }
        events { $($wire:literal $version:literal => $Event:ident),* $(,)? }
        refusals { $($Refusal:ident),* $(,)? }
    ) => {
        /// An event of this slice.
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize)]
        #[serde(untagged)]
        pub enum Event {
            $(
                #[doc = concat!("`", $wire, "`")]
                $Event($Event),
            )*
        }

        impl Event {
            /// The name of its type, as stored and published.
            #[must_use]
            pub const fn type_name(&self) -> &'static str {
                match self { $(Self::$Event(_) => $wire,)* }
            }

            /// The current version of its schema, from 1.
            #[must_use]
            pub const fn schema_version(&self) -> i16 {
                match self { $(Self::$Event(_) => $version,)* }
            }

            /// The current version of the schema of a type; `None` for a type of another slice.
            pub(crate) fn current_version(type_name: &str) -> Option<i16> {
                match type_name {
                    $($wire => Some($version),)*
                    _ => None,
                }
            }

            pub(crate) fn deserialize<'de, D: ::serde::Deserializer<'de>>(
                type_name: &str,
                data: D,
            ) -> Option<Result<Self, D::Error>> {
                match type_name {
                    $($wire => Some(<$Event as ::serde::Deserialize>::deserialize(data).map(Self::$Event)),)*
                    _ => None,
                }
            }

            pub(crate) fn contracts() -> Vec<crate::EventContract> {
                vec![$(crate::EventContract {
                    slice: crate::Slice::$Slice,
                    event_type: $wire,
                    schema_version: $version,
                    schema: crate::contract::schema_of::<$Event>(),
                },)*]
            }
        }

        /// A command of this slice.
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize)]
        #[serde(untagged)]
        pub enum Command {
            $(
                #[doc = concat!("See [`", stringify!($Command), "`].")]
                $Command($Command),
            )*
        }

        impl Command {
            /// The name of the command.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$Command(_) => stringify!($Command),)* }
            }

            /// Who may send the command of this name; `None` for a command of another slice.
            pub(crate) fn access_of(name: &str) -> Option<&'static crate::Access> {
                match name {
                    $(stringify!($Command) => Some(&crate::Access {
                        roles: crate::access::$roles,
                        own: &[$(stringify!($own)),*],
                        customer: crate::declare::optional!($(stringify!($customer))?),
                        channel: crate::declare::optional!($(stringify!($channel))?),
                        locations: crate::declare::optional!($(stringify!($locations))?),
                    }),)*
                    _ => None,
                }
            }

            /// Whether every thing that the command has to own is the actor's.
            pub(crate) fn check_owners(
                &self,
                actor: &crate::Actor,
                streams: &crate::Streams<'_>,
            ) -> Result<(), crate::Rejection> {
                match self {
                    $(Self::$Command(command) => {
                        $(crate::access::check_owner::<$Owned>(&command.$own, actor, streams)?;)*
                        _ = (command, actor, streams);
                        Ok(())
                    })*
                }
            }

            /// What the command names that a buyer may not choose freely.
            pub(crate) fn named(&self) -> crate::access::Named<'_> {
                match self {
                    $(Self::$Command(command) => {
                        _ = command;
                        crate::access::Named {
                            customer: crate::declare::optional!($(command.$customer)?).flatten(),
                            channel: crate::declare::optional!($(&command.$channel)?),
                            locations: crate::declare::optional!($(command.$locations.as_slice())?),
                        }
                    })*
                }
            }

            pub(crate) fn deserialize<'de, D: ::serde::Deserializer<'de>>(
                name: &str,
                body: D,
            ) -> Option<Result<Self, D::Error>> {
                match name {
                    $(stringify!($Command) => {
                        Some(<$Command as ::serde::Deserialize>::deserialize(body).map(Self::$Command))
                    })*
                    _ => None,
                }
            }

            pub(crate) fn contracts() -> Vec<crate::CommandContract> {
                vec![$(crate::CommandContract {
                    slice: crate::Slice::$Slice,
                    name: stringify!($Command),
                    access: Self::access_of(stringify!($Command)).expect("it is declared above"),
                    schema: crate::contract::schema_of::<$Command>(),
                },)*]
            }
        }

        impl crate::Decide for Command {
            fn reads(&self, reads: &mut crate::Reads) {
                match self { $(Self::$Command(command) => command.reads(reads),)* }
            }

            fn decide(
                &self,
                context: &crate::Context,
                streams: &crate::Streams<'_>,
            ) -> Result<crate::Decision, crate::Rejection> {
                match self { $(Self::$Command(command) => command.decide(context, streams),)* }
            }
        }

        /// The state of a stream of this slice.
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(tag = "kind", content = "state", rename_all = "snake_case")]
        pub enum State {
            $(
                #[doc = concat!("The state of a `", $prefix, "-` stream.")]
                $State($State),
            )*
        }

        impl State {
            /// The prefixes of the streams of this slice.
            pub(crate) const PREFIXES: &'static [&'static str] = &[$($prefix),*];

            pub(crate) fn empty(prefix: &str) -> Option<Self> {
                match prefix {
                    $($prefix => Some(Self::$State($State::default())),)*
                    _ => None,
                }
            }

            pub(crate) fn evolve(&mut self, event: &Event, at: ::chrono::DateTime<::chrono::Utc>) {
                match self { $(Self::$State(state) => crate::Fold::evolve(state, event, at),)* }
            }

            pub(crate) const fn prefix(&self) -> &'static str {
                match self { $(Self::$State(_) => $prefix,)* }
            }

            pub(crate) fn heap_size(&self) -> usize {
                match self { $(Self::$State(state) => crate::Fold::heap_size(state),)* }
            }
        }

        crate::declare::refusal_set! { Some(stringify!($Slice)), $Slice: $($Refusal),* }

        $(
            impl From<$Event> for Event {
                fn from(event: $Event) -> Self {
                    Self::$Event(event)
                }
            }

            impl From<$Event> for crate::Event {
                fn from(event: $Event) -> Self {
                    Self::$Slice(Event::$Event(event))
                }
            }
        )*
        $(
            impl From<$Command> for crate::Command {
                fn from(command: $Command) -> Self {
                    Self::$Slice(Command::$Command(command))
                }
            }
        )*
        $(
            impl<'a> TryFrom<&'a crate::State> for &'a $State {
                type Error = crate::OtherStream;

                fn try_from(state: &'a crate::State) -> Result<Self, crate::OtherStream> {
                    match state {
                        crate::State::$Slice(State::$State(state)) => Ok(state),
                        _ => Err(crate::OtherStream),
                    }
                }
            }
        )*
    };
}

/// Declares `Refusal`, the closed set of the refusals of a module, as the variant `$Slice` of the domain's.
macro_rules! refusal_set {
    ($slice:expr, $Slice:ident: $($Refusal:ident),*) => {
        /// A refusal by a rule of this slice.
        #[derive(Debug, Clone, PartialEq, Eq, ::thiserror::Error, ::serde::Serialize)]
        #[serde(untagged)]
        pub enum Refusal {
            $(
                #[doc = concat!("See [`", stringify!($Refusal), "`].")]
                #[error(transparent)]
                $Refusal(#[from] $Refusal),
            )*
        }

        impl Refusal {
            pub(crate) const fn facts(&self) -> crate::refusal::Facts {
                match self { $(Self::$Refusal(_) => crate::refusal::Facts::of::<$Refusal>(),)* }
            }

            pub(crate) fn contracts() -> Vec<crate::RefusalContract> {
                vec![$(crate::refusal::contract::<$Refusal>($slice, stringify!($Refusal)),)*]
            }
        }

        $(
            impl From<$Refusal> for crate::Refusal {
                fn from(refusal: $Refusal) -> Self {
                    Self::$Slice(Refusal::$Refusal(refusal))
                }
            }

            impl crate::refusal::Refuse for $Refusal {}
        )*
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

        /// An event of any slice. What is stored is the event's JSON object; its type stands beside it.
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize)]
        #[serde(untagged)]
        pub enum Event {
            $(
                #[doc = concat!("Of the slice `", stringify!($module), "`.")]
                $Slice($module::Event),
            )*
        }

        impl Event {
            /// The name of its type, such as `order.OrderPlaced`, as stored and published.
            #[must_use]
            pub const fn type_name(&self) -> &'static str {
                match self { $(Self::$Slice(event) => event.type_name(),)* }
            }

            /// The version of its schema, from 1.
            #[must_use]
            pub const fn schema_version(&self) -> i16 {
                match self { $(Self::$Slice(event) => event.schema_version(),)* }
            }

            /// The slice that it belongs to.
            #[must_use]
            pub const fn slice(&self) -> Slice {
                match self { $(Self::$Slice(_) => Slice::$Slice,)* }
            }

            /// The current version of the schema of a type; `None` when no event has this type.
            #[must_use]
            pub fn current_version(type_name: &str) -> Option<i16> {
                match type_name.split_once('.')?.0 {
                    $(stringify!($module) => $module::Event::current_version(type_name),)*
                    _ => None,
                }
            }

            /// Reads the data of an event of this type in its current version; `None` when no event has this type. The codec
            /// calls this; everybody else reads events through the codec.
            ///
            /// # Errors
            /// The deserialiser's, when the data does not have the form of the type.
            pub fn deserialize<'de, D: ::serde::Deserializer<'de>>(
                type_name: &str,
                data: D,
            ) -> Option<Result<Self, D::Error>> {
                match type_name.split_once('.')?.0 {
                    $(stringify!($module) => {
                        Some($module::Event::deserialize(type_name, data)?.map(Self::$Slice))
                    })*
                    _ => None,
                }
            }

            /// The contracts of every event type, by slice.
            #[must_use]
            pub fn contracts() -> Vec<EventContract> {
                let mut contracts = Vec::new();
                $(contracts.extend($module::Event::contracts());)*
                contracts
            }
        }

        /// A command of any slice.
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize)]
        #[serde(untagged)]
        pub enum Command {
            $(
                #[doc = concat!("Of the slice `", stringify!($module), "`.")]
                $Slice($module::Command),
            )*
        }

        impl Command {
            /// The name of the command, such as `PlaceOrder`.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$Slice(command) => command.name(),)* }
            }

            /// Who may send the command of this name; `None` when there is no such command.
            #[must_use]
            pub fn access_of(name: &str) -> Option<&'static Access> {
                None$(.or_else(|| $module::Command::access_of(name)))*
            }

            /// Reads the body of the command of this name; `None` when there is no such command.
            ///
            /// # Errors
            /// The deserialiser's, when the body does not have the form of the command.
            pub fn deserialize<'de, D: ::serde::Deserializer<'de>>(
                name: &str,
                body: D,
            ) -> Option<Result<Self, D::Error>> {
                $(if $module::Command::access_of(name).is_some() {
                    return Some($module::Command::deserialize(name, body)?.map(Self::$Slice));
                })*
                None
            }

            /// The contracts of every command, by slice.
            #[must_use]
            pub fn contracts() -> Vec<CommandContract> {
                let mut contracts = Vec::new();
                $(contracts.extend($module::Command::contracts());)*
                contracts
            }

            pub(crate) fn check_owners(&self, actor: &Actor, streams: &Streams<'_>) -> Result<(), Rejection> {
                match self { $(Self::$Slice(command) => command.check_owners(actor, streams),)* }
            }

            pub(crate) fn named(&self) -> access::Named<'_> {
                match self { $(Self::$Slice(command) => command.named(),)* }
            }
        }

        impl Decide for Command {
            fn reads(&self, reads: &mut Reads) {
                match self { $(Self::$Slice(command) => command.reads(reads),)* }
            }

            fn decide(&self, context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
                match self { $(Self::$Slice(command) => command.decide(context, streams),)* }
            }
        }

        /// The state of any stream.
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum State {
            $(
                #[doc = concat!("Of the slice `", stringify!($module), "`.")]
                $Slice($module::State),
            )*
        }

        impl State {
            /// The state of a stream in which nothing has happened yet; `None` for a name that no slice uses.
            #[must_use]
            pub fn empty(stream: &StreamName) -> Option<Self> {
                let prefix = stream.prefix();
                None$(.or_else(|| $module::State::empty(prefix).map(Self::$Slice)))*
            }

            /// Whether it is the state of a stream of this kind.
            #[must_use]
            pub fn is_of(&self, stream: &StreamName) -> bool {
                stream.prefix() == match self { $(Self::$Slice(state) => state.prefix(),)* }
            }

            /// Applies an event; see [`Fold::evolve`]. An event of another slice, which no stream of this one holds, changes
            /// nothing.
            pub fn evolve(&mut self, event: &Event, at: ::chrono::DateTime<::chrono::Utc>) {
                match (self, event) {
                    $((Self::$Slice(state), Event::$Slice(event)) => state.evolve(event, at),)*
                    $((Self::$Slice(_), _) => {})*
                }
            }

            /// About how many bytes of memory the state uses.
            #[must_use]
            pub fn heap_size(&self) -> usize {
                size_of::<Self>() + match self { $(Self::$Slice(state) => state.heap_size(),)* }
            }
        }

        /// A rule said no. Nothing was written.
        #[derive(Debug, Clone, PartialEq, Eq, ::thiserror::Error, ::serde::Serialize)]
        #[serde(untagged)]
        pub enum Refusal {
            /// What every slice refuses.
            #[error(transparent)]
            General(general::Refusal),
            $(
                #[doc = concat!("Of the slice `", stringify!($module), "`.")]
                #[error(transparent)]
                $Slice($module::Refusal),
            )*
        }

        impl Refusal {
            pub(crate) const fn facts(&self) -> refusal::Facts {
                match self {
                    Self::General(refusal) => refusal.facts(),
                    $(Self::$Slice(refusal) => refusal.facts(),)*
                }
            }

            /// The contracts of every refusal.
            #[must_use]
            pub fn contracts() -> Vec<RefusalContract> {
                let mut contracts = general::Refusal::contracts();
                $(contracts.extend($module::Refusal::contracts());)*
                contracts
            }
        }

        $(
            impl From<$module::Event> for Event {
                fn from(event: $module::Event) -> Self {
                    Self::$Slice(event)
                }
            }
        )*
    };
}

pub(crate) use daybook_kernel::optional;
pub(crate) use {refusal_set, slice, slices};
