//! The book in a safe place, while the shop runs, and the book restored from there.
//!
//! PostgreSQL's own programs do the work: pg_basebackup copies the files of the server, pg_verifybackup reads them back, and
//! pg_receivewal follows the write-ahead log, so that [`restore`] can go to any moment after a base back-up. What belongs here:
//! driving those programs, and the directory that their results are in. What does not: flags, and what is printed.

mod archive;
mod base;
mod error;
mod kept;
pub mod restore;
mod source;
mod store;
mod tools;
mod wal;

pub use archive::{Archive, forget};
pub use base::take;
pub use error::BackupError;
pub use kept::{Pruned, Report, prune, reports, verify};
pub use source::{Mark, Server, Source};
pub use store::Base;
