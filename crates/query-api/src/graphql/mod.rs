//! What stands round the GraphQL library: the schemas, limits, errors, pagination and the machinery of mutations.
//!
//! What belongs here is the same for all slices. Types, queries and mutations of a slice have a folder of their own.

pub(crate) mod answer_size;
pub(crate) mod batches;
pub(crate) mod commands;
pub(crate) mod connection;
pub(crate) mod cost;
pub(crate) mod documents;
pub(crate) mod environment;
pub(crate) mod error;
pub(crate) mod extension;
pub(crate) mod input;
pub(crate) mod lexemes;
pub(crate) mod mutation;
pub(crate) mod normalize;
pub(crate) mod position;
pub(crate) mod scalars;
pub(crate) mod schema;
pub(crate) mod stream_limits;
pub(crate) mod user_error;
pub(crate) mod viewer;
pub(crate) mod weight;
