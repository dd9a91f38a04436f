//! State: what a stream has come to. A fold of its events, and nothing else.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Event, StreamName,
    cart::Cart,
    catalog::{Category, Product, SkuRecord, SlugClaim},
    inventory::Stock,
    order::Order,
};

/// A state that is folded from one stream.
pub trait Fold: Default + Clone + Serialize + DeserializeOwned {
    /// What names the stream.
    type Id: ?Sized;

    /// The stream of `id`.
    fn stream(id: &Self::Id) -> StreamName;

    /// Takes in what has happened at the time `at`. Never fails: the past is a fact, and an event that this state has
    /// no use for changes nothing.
    fn evolve(&mut self, event: &Event, at: DateTime<Utc>);

    /// This kind of state, out of any kind.
    fn of(state: &State) -> Option<&Self>;

    /// About how many bytes of memory the state holds beyond its own size, for caches that are bounded by bytes.
    fn weight(&self) -> usize {
        0
    }
}

/// Lists the states once: the enum, what folds them and which streams they belong to.
macro_rules! states {
    ($($prefix:literal => $kind:ident),* $(,)?) => {
        /// The state of any stream.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", content = "state", rename_all = "snake_case")]
        pub enum State {
            $(
                #[doc = concat!("The state of a `", $prefix, "-` stream.")]
                $kind($kind),
            )*
        }

        impl State {
            /// The state of a stream in which nothing has happened yet; `None` for a name that no slice uses.
            #[must_use]
            pub fn empty(stream: &StreamName) -> Option<Self> {
                match stream.prefix() {
                    $($prefix => Some(Self::$kind($kind::default())),)*
                    _ => None,
                }
            }

            /// Takes in what has happened; see [`Fold::evolve`].
            pub fn evolve(&mut self, event: &Event, at: DateTime<Utc>) {
                match self {
                    $(Self::$kind(state) => state.evolve(event, at),)*
                }
            }

            /// About how many bytes the state holds; see [`Fold::weight`].
            #[must_use]
            pub fn weight(&self) -> usize {
                size_of::<Self>() + match self {
                    $(Self::$kind(state) => state.weight(),)*
                }
            }
        }
    };
}

states! {
    "product" => Product,
    "category" => Category,
    "sku" => SkuRecord,
    "slug" => SlugClaim,
    "stock" => Stock,
    "cart" => Cart,
    "order" => Order,
}

impl State {
    /// The version of the folds. Snapshots taken by another version are folded anew from the events; raise it whenever
    /// a state's shape or an `evolve` changes.
    pub const FOLD_VERSION: u16 = 1;
}
