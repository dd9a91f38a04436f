//! The sets of the events.

/// Declares `Event`, the closed set of the events of a slice. Each event has its type name and the version of its schema.
macro_rules! event_set {
    ($Slice:ident: $($type_name:literal $version:literal => $Event:ident),*) => {
        /// An event of this slice.
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize)]
        #[serde(untagged)]
        pub enum Event {
            $(
                #[doc = concat!("`", $type_name, "`")]
                $Event($Event),
            )*
        }

        impl Event {
            /// The name of its type, as stored and published.
            #[must_use]
            pub const fn type_name(&self) -> &'static str {
                match self { $(Self::$Event(_) => $type_name,)* }
            }

            /// The current version of its schema, from 1.
            #[must_use]
            pub const fn schema_version(&self) -> i16 {
                match self { $(Self::$Event(_) => $version,)* }
            }

            /// The current version of the schema of a type; `None` for a type of another slice.
            pub(crate) fn current_version(type_name: &str) -> Option<i16> {
                match type_name {
                    $($type_name => Some($version),)*
                    _ => None,
                }
            }

            pub(crate) fn deserialize<'de, D: ::serde::Deserializer<'de>>(
                type_name: &str,
                data: D,
            ) -> Option<Result<Self, D::Error>> {
                match type_name {
                    $($type_name => Some(<$Event as ::serde::Deserialize>::deserialize(data).map(Self::$Event)),)*
                    _ => None,
                }
            }

            pub(crate) fn contracts() -> Vec<crate::EventContract> {
                vec![$(crate::EventContract {
                    slice: crate::Slice::$Slice,
                    event_type: $type_name,
                    schema_version: $version,
                    schema: crate::contract::schema_of::<$Event>(),
                },)*]
            }
        }

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
    };
}

/// Declares `Event`, the events of all slices.
macro_rules! all_events {
    ($($Slice:ident $module:ident),*) => {
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

        $(
            impl From<$module::Event> for Event {
                fn from(event: $module::Event) -> Self {
                    Self::$Slice(event)
                }
            }
        )*
    };
}

pub(crate) use {all_events, event_set};
