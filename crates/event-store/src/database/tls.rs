//! TLS to the database, by the system's OpenSSL, with the modes and files of libpq.

use std::{fmt, path::PathBuf};

use openssl::ssl::{SslConnector, SslFiletype, SslMethod, SslVerifyMode};
use postgres_openssl::MakeTlsConnector;
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

use super::error::AddressError;

/// How much TLS is wanted: `sslmode` of libpq.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum TlsMode {
    /// None.
    Disable,
    /// If the server offers it. Nothing is verified.
    #[default]
    Prefer,
    /// Always. The server's certificate is verified only where `sslrootcert` is given.
    Require,
    /// Always, and the server's certificate is signed by a known authority.
    VerifyCa,
    /// Always, and the certificate is also the host's.
    VerifyFull,
}

const NAMES: [(&str, TlsMode); 5] = [
    ("disable", TlsMode::Disable),
    ("prefer", TlsMode::Prefer),
    ("require", TlsMode::Require),
    ("verify-ca", TlsMode::VerifyCa),
    ("verify-full", TlsMode::VerifyFull),
];

impl TlsMode {
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, mode)| *mode)
    }

    /// The mode of the driver. A Unix socket has no TLS.
    pub(crate) fn of_the_driver(self, config: &Config) -> SslMode {
        let over_network = |host: &Host| matches!(host, Host::Tcp(_));
        let any = config.get_hosts().iter().any(over_network) || !config.get_hostaddrs().is_empty();
        match self {
            _ if !any => SslMode::Disable,
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => SslMode::Require,
        }
    }
}

impl fmt::Display for TlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.iter().find(|(_, mode)| mode == self).map_or("", |(name, _)| name))
    }
}

/// The parameters of TLS in an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    pub(crate) mode: TlsMode,
    /// The file of the authorities that the server's certificate may be signed by. `system`, or none, means those of the system.
    pub(crate) root_cert: Option<PathBuf>,
    /// The client's certificate.
    pub(crate) cert: Option<PathBuf>,
    /// Its key.
    pub(crate) key: Option<PathBuf>,
}

impl TlsSettings {
    pub(crate) fn connector(&self) -> Result<MakeTlsConnector, AddressError> {
        let tls = |error: openssl::error::ErrorStack| AddressError::Tls(error.to_string());
        let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(tls)?;
        let root = self.root_cert.as_ref().filter(|path| path.as_os_str() != "system");
        if let Some(path) = root {
            builder.set_ca_file(path).map_err(|error| unusable("sslrootcert", path, &error))?;
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            builder.set_certificate_chain_file(cert).map_err(|error| unusable("sslcert", cert, &error))?;
            let loaded = builder.set_private_key_file(key, SslFiletype::PEM).and_then(|()| builder.check_private_key());
            loaded.map_err(|error| unusable("sslkey", key, &error))?;
        }
        let verified = match self.mode {
            TlsMode::Disable | TlsMode::Prefer => false,
            TlsMode::Require => root.is_some(),
            TlsMode::VerifyCa | TlsMode::VerifyFull => true,
        };
        if !verified {
            builder.set_verify(SslVerifyMode::NONE);
        }
        let mut connector = MakeTlsConnector::new(builder.build());
        if self.mode != TlsMode::VerifyFull {
            connector.set_callback(|connection, _| {
                connection.set_verify_hostname(false);
                Ok(())
            });
        }
        Ok(connector)
    }

    /// The same parameters for a program of PostgreSQL.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        let file = |path: &PathBuf| path.to_string_lossy().into_owned();
        let mut parameters = vec![("sslmode", self.mode.to_string())];
        parameters.extend(self.root_cert.as_ref().map(|path| ("sslrootcert", file(path))));
        parameters.extend(self.cert.as_ref().map(|path| ("sslcert", file(path))));
        parameters.extend(self.key.as_ref().map(|path| ("sslkey", file(path))));
        parameters
    }
}

fn unusable(what: &'static str, path: &std::path::Path, error: &openssl::error::ErrorStack) -> AddressError {
    AddressError::Certificate { what, path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let tls = TlsSettings {
            mode: TlsMode::VerifyFull,
            root_cert: Some("/no/such/ca.pem".into()),
            ..TlsSettings::default()
        };
        let error = tls.connector().err().expect("the file is missing").to_string();
        assert!(error.starts_with("sslrootcert /no/such/ca.pem cannot be used"), "{error}");
    }

    #[test]
    fn every_mode_has_one_name() {
        for (name, mode) in NAMES {
            assert_eq!((TlsMode::named(name), mode.to_string()), (Some(mode), name.to_owned()));
        }
        assert_eq!(TlsMode::named("allow"), None);
    }
}
