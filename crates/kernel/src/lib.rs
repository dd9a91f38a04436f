//! The language that every slice speaks.
//!
//! What belongs here: [money](Money), [quantities](Quantity), bounded [texts](mod@text) and [ids], the [actor](Actor) who acts,
//! [stream names](StreamName), what it takes to [fold](Fold) a stream, and the window through which a decision
//! [reads](Streams). What does not: any slice of the business, IO, clocks, randomness. Time and ids arrive from outside;
//! `clippy.toml` bans the ambient ones.

pub mod actor;
pub mod currency;
pub mod decision;
pub mod fold;
pub mod ids;
pub mod money;
pub mod patch;
pub mod personal;
pub mod quantity;
pub mod refusal;
pub mod scalar;
pub mod stream_name;
pub mod streams;
pub mod text;
pub mod time;
pub mod unique;

pub use actor::{Actor, Owner, Role};
pub use currency::Currency;
pub use decision::{Decision, MAX_EVENT_BYTES};
pub use fold::Fold;
pub use money::Money;
pub use patch::Patch;
pub use personal::Personal;
pub use quantity::Quantity;
pub use refusal::{RefusalContract, RefusalKind};
pub use scalar::Scalar;
pub use stream_name::StreamName;
pub use streams::{MAX_STREAMS, Reads, Source, Streams, Unread};
pub use time::Timestamp;
