//! The sets of the commands, with who may send them.

/// Declares `Command`, the closed set of the commands of a slice. For the words of access see `slice!`.
macro_rules! command_set {
    ($Slice:ident: $(
        $Command:ident: by $roles:ident $(, own $Owned:ident $own:ident)* $(, opens $Opened:ident $opened:ident)?
            $(, for $customer:ident)? $(, channel $channel:ident)? $(, locations $locations:ident)?;
    )*) => {
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

            /// Who may send the command.
            pub(crate) const fn access(&self) -> &'static crate::Access {
                match self { $(Self::$Command(_) => &$Command::ACCESS,)* }
            }

            /// Who may send the command of this name; `None` for a command of another slice.
            pub(crate) fn access_of(name: &str) -> Option<&'static crate::Access> {
                match name {
                    $(stringify!($Command) => Some(&$Command::ACCESS),)*
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

            /// The things whose bearer a buyer has to be: those that the command has to own, and the one that it opens.
            pub(crate) fn things(&self, streams: &crate::Streams<'_>) -> Vec<crate::access::Thing> {
                match self {
                    $(Self::$Command(command) => {
                        _ = (command, streams);
                        vec![
                            $(crate::access::thing::<$Owned>(&command.$own, streams),)*
                            $(crate::access::thing::<$Opened>(&command.$opened, streams),)?
                        ]
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
                            channel: crate::declare::optional!($(command.$channel.as_ref())?).flatten(),
                            locations: crate::declare::optional!($(command.$locations.as_deref().unwrap_or_default())?),
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
                    access: &$Command::ACCESS,
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

        $(
            impl $Command {
                /// Who may send it.
                pub(crate) const ACCESS: crate::Access = crate::Access {
                    roles: crate::access::$roles,
                    own: &[$(stringify!($own)),*],
                    customer: crate::declare::optional!($(stringify!($customer))?),
                    channel: crate::declare::optional!($(stringify!($channel))?),
                    locations: crate::declare::optional!($(stringify!($locations))?),
                };
            }

            impl From<$Command> for crate::Command {
                fn from(command: $Command) -> Self {
                    Self::$Slice(Command::$Command(command))
                }
            }
        )*
    };
}

/// Declares `Command`, the commands of all slices.
macro_rules! all_commands {
    ($($Slice:ident $module:ident),*) => {
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

            /// Who may send the command.
            #[must_use]
            pub const fn access(&self) -> &'static Access {
                match self { $(Self::$Slice(command) => command.access(),)* }
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

            pub(crate) fn things(&self, streams: &Streams<'_>) -> Vec<access::Thing> {
                match self { $(Self::$Slice(command) => command.things(streams),)* }
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
    };
}

pub(crate) use {all_commands, command_set};
