//! The daybook: an event store on PostgreSQL. It appends, reads and follows; it knows bytes and names, not commerce.
//!
//! Positions are gapless and in commit order, because an append locks the one row of `head`. The lock is cheap,
//! because one append writes a whole batch: see [`Appender`].
//!
//! What belongs here: the tables of the book, append, reads, following, snapshots, the log of commands, the seat. What does not: the meaning
//! of an event, access, Kafka, read models.

mod append;
mod batch;
mod contract;
mod database;
mod driver;
mod error;
mod follow;
mod migrate;
mod notify;
mod read;
mod record;
mod resolve;
mod seat;
mod secret;
mod session;
mod settings;
mod snapshot;
mod sql;
mod time;

pub use append::{Appender, PostgresSession};
pub use batch::{AppendUnit, MAX_EVENT_BYTES, NewEvent, Operation, Outcome};
pub use contract::Store;
pub use database::{
    AddressError, Connector, SessionLimits,
    pool::{CancelOnDrop, PoolSettings},
    redacted,
};
pub use error::{StoreError, chain, error_chain, is_data_error, is_refused_row, is_unavailable};
pub use follow::Follower;
pub use migrate::{BOOK as BOOK_MIGRATIONS, Migration, MigrationSet, Schema, SchemaError};
pub use read::{AsOf, Filter, Head, Page};
pub use record::{RecordedEvent, verbatim};
pub use seat::{Candidate, Holder, Place, Seat};
pub use secret::{Secret, SecretError};
pub use session::{KnownCommand, Session, Writing, Written};
pub use settings::{Daybook, StoreSettings};
pub use snapshot::{FROM_THE_BEGINNING, LoadedStream, Snapshot};
pub use time::DatabaseTime;
