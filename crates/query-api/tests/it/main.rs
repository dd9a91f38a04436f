//! The query API, over HTTP: on a real PostgreSQL, with views that are folded from the book, and with the real command API.

mod access;
mod audit;
mod buying;
mod carts;
mod catalog;
mod consistency;
mod corrections;
mod database;
mod fuzz;
mod graphiql;
mod limits;
mod live;
mod loaders;
mod mutations;
mod orders;
mod persisted;
mod plans;
mod shape;
mod shop;
mod sockets;
mod stock;
mod upgrades;
mod user_errors;
