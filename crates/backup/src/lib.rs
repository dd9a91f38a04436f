//! Back-ups of the book while the shop runs, and the restored book.
//!
//! PostgreSQL's own programs do the work. pg_basebackup copies the files of the server, and pg_verifybackup reads them back.
//! pg_receivewal archives the write-ahead log, so that [`restore`] can reach any moment after a base back-up. What belongs here:
//! running those programs, and the directory of back-ups. What does not: the flags and the output of commands.

mod apart;
mod archive;
mod base;
mod error;
mod kept;
mod label;
pub mod restore;
mod source;
mod store;
mod tools;
mod wal;

pub use archive::{Archive, Received, forget, received};
pub use base::take;
pub use error::BackupError;
pub use kept::{Pruned, Report, prune, reports, verify};
pub use label::{Label, NoLabel};
pub use source::{Mark, Server, Source};
pub use store::Base;
