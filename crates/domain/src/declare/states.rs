//! The sets of the states.

/// Declares `State`, the closed set of the states of a slice. Each state has the prefix of its streams.
macro_rules! state_set {
    ($Slice:ident: $($prefix:literal => $State:ident),*) => {
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

/// Declares `State`, the states of all slices.
macro_rules! all_states {
    ($($Slice:ident $module:ident),*) => {
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
    };
}

pub(crate) use {all_states, state_set};
