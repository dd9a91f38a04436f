//! The daybook: an event store on PostgreSQL. It appends, reads and follows; it knows bytes and names, not commerce.
//!
//! Positions are gapless and in commit order, because an append locks the one row of `head`. The lock is cheap
//! because appending is done in batches: see [`Appender`].
//!
//! What belongs here: the book's tables, the append, the reads, following, snapshots, the log of commands. What does not:
//! what an event means, who may write it, Kafka, read models.

mod append;
mod batch;
mod contract;
mod driver;
mod follow;
mod read;
mod record;
mod resolve;
mod settings;
mod snapshot;
mod sql;

pub use append::{Appender, PostgresSession};
pub use batch::{NewEvent, Outcome, Step, Unit};
pub use contract::{KnownCommand, Session, Store, Writing, Written};
pub use follow::Follower;
pub use read::{AsOf, Filter, Head};
pub use record::RecordedEvent;
pub use settings::{Daybook, StoreError, StoreSettings, chain, error_chain};
pub use snapshot::{FROM_THE_BEGINNING, LoadedStream, Snapshot};
