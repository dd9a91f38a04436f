//! Why an address of a database cannot be used.

use std::path::PathBuf;

/// Why an address cannot be used. No text of it can hold a password.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It cannot be read.
    #[error(
        "the address of the database is neither a URL (postgres://user:password@host/database) nor a list of keywords \
         (host=… user=…){detail}; in a URL, the characters @ : / ? # & % of a password are percent-encoded"
    )]
    Malformed {
        /// What is wrong, where it can be shown.
        detail: String,
    },
    /// A parameter has a value that it cannot have.
    #[error("sslmode={value} is unknown; it is disable, prefer, require, verify-ca or verify-full")]
    SslMode {
        /// The value.
        value: String,
    },
    /// The certificate and its key belong together.
    #[error("sslcert and sslkey are given together or not at all")]
    HalfOfAPair,
    /// A file of TLS cannot be used.
    #[error("{what} {} cannot be used: {reason}", path.display())]
    Certificate {
        /// The parameter.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}
