//! A mistake of usage.

/// What was asked for cannot be, though it is well-formed: there is no such version, or no such view. Exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);
