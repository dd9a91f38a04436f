//! A mistake of usage.

/// The request is well-formed but impossible, such as a version or a view that does not exist. Exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);
