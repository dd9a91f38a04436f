//! The query API, over HTTP: on a real PostgreSQL, with views that are folded from the book, and with the real command API.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests")]

mod access;
mod audit;
mod buying;
mod carts;
mod catalog;
mod consistency;
mod corrections;
mod database;
mod drained;
mod ends;
mod events;
mod fuzz;
mod graphiql;
mod guests;
mod limits;
mod live;
mod loaders;
mod memory;
mod mutations;
mod orders;
mod persisted;
mod plans;
mod sales;
mod schema;
mod shape;
mod shop;
mod sockets;
mod stock;
mod texts;
mod trace;
mod upgrades;
mod user_errors;
