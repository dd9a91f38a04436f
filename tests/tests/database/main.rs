//! The database as operators run it: TLS with certificates of their own, a database user for every role, and a hot standby for queries.
#![allow(missing_docs, reason = "tests")]

mod certificates;
mod pools;
mod roles;
mod secrets;
mod standby;
mod tls;
