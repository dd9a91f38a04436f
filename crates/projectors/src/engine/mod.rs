//! The engine of every view: rows and their store, projections and their runner, rebuilds, and audits.
//!
//! It knows no view. Views are handed in as [specifications](view::ViewSpec).

pub mod audit;
pub mod projection;
pub mod rebuild;
pub mod recorded;
pub mod registry;
pub mod runner;
pub mod store;
pub mod view;
