//! How clients of Kafka prove who they are and who the broker is: TLS and SASL, and the settings of librdkafka that operators may set.

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr};

use daybook_event_store::Secret;
use rdkafka::ClientConfig;

/// The settings of librdkafka that may be given by name. What the engine itself relies on is not among them.
const ALLOWED: [&str; 16] = [
    "broker.address.family",
    "client.dns.lookup",
    "client.rack",
    "compression.type",
    "connections.max.idle.ms",
    "debug",
    "metadata.max.age.ms",
    "reconnect.backoff.ms",
    "socket.keepalive.enable",
    "socket.nagle.disable",
    "ssl.certificate.location",
    "ssl.cipher.suites",
    "ssl.crl.location",
    "ssl.curves.list",
    "ssl.key.location",
    "ssl.sigalgs.list",
];

/// How the connections are protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SecurityProtocol {
    /// Not at all.
    #[default]
    Plaintext,
    /// By TLS.
    Ssl,
    /// By a login only. A network in between can read everything.
    SaslPlaintext,
    /// By TLS and a login.
    SaslSsl,
}

/// How a login is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The password itself.
    Plain,
    /// A proof of the password by SHA-256.
    ScramSha256,
    /// A proof of the password by SHA-512.
    ScramSha512,
}

const PROTOCOLS: [(&str, SecurityProtocol); 4] = [
    ("PLAINTEXT", SecurityProtocol::Plaintext),
    ("SSL", SecurityProtocol::Ssl),
    ("SASL_PLAINTEXT", SecurityProtocol::SaslPlaintext),
    ("SASL_SSL", SecurityProtocol::SaslSsl),
];
const MECHANISMS: [(&str, SaslMechanism); 3] = [
    ("PLAIN", SaslMechanism::Plain),
    ("SCRAM-SHA-256", SaslMechanism::ScramSha256),
    ("SCRAM-SHA-512", SaslMechanism::ScramSha512),
];

fn named<T: Copy>(names: &[(&str, T)], name: &str) -> Result<T, String> {
    let known = names.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    known.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
        format!("it is one of {}", names.join(", "))
    })
}

fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names.iter().find(|(_, known)| known == value).map_or("", |(name, _)| *name)
}

impl FromStr for SecurityProtocol {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        named(&PROTOCOLS, name)
    }
}

impl fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&PROTOCOLS, self))
    }
}

impl FromStr for SaslMechanism {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        named(&MECHANISMS, name)
    }
}

impl fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&MECHANISMS, self))
    }
}

/// A login at the broker.
#[derive(Debug, Clone)]
pub struct Login {
    /// How it is sent.
    pub mechanism: SaslMechanism,
    /// The name.
    pub username: String,
    /// The password. A client that is made later uses the password that was read last.
    pub password: Secret,
}

/// TLS and login of every client of the broker. The default is neither.
#[derive(Debug, Clone, Default)]
pub struct KafkaSecurity {
    protocol: SecurityProtocol,
    login: Option<Login>,
    ca_file: Option<PathBuf>,
    client: BTreeMap<String, String>,
}

/// Why the settings do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecurityError {
    /// A protocol with a login needs one.
    #[error("the security protocol {0} needs sasl_mechanism, sasl_username and sasl_password or sasl_password_file")]
    LoginMissing(&'static str),
    /// A protocol without a login has one.
    #[error("a login is given, but the security protocol {0} has none; use SASL_SSL")]
    LoginUnused(&'static str),
    /// A file of authorities without TLS.
    #[error("a ca_file is given, but the security protocol {0} has no TLS; use SSL or SASL_SSL")]
    AuthoritiesUnused(&'static str),
    /// The file of authorities cannot be read.
    #[error("the ca_file {} cannot be read: {reason}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A setting that may not be set.
    #[error("the client setting {key} is not among those that may be set: {}", ALLOWED.join(", "))]
    NotAllowed {
        /// The setting.
        key: String,
    },
}

impl KafkaSecurity {
    /// Checks that the settings fit together. `client` are further settings of librdkafka.
    ///
    /// # Errors
    /// [`SecurityError`] says which do not.
    pub fn new(
        protocol: SecurityProtocol,
        login: Option<Login>,
        ca_file: Option<PathBuf>,
        client: BTreeMap<String, String>,
    ) -> Result<Self, SecurityError> {
        let name = name_of(&PROTOCOLS, &protocol);
        let wants_login = matches!(protocol, SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl);
        let wants_tls = matches!(protocol, SecurityProtocol::Ssl | SecurityProtocol::SaslSsl);
        match (&login, wants_login) {
            (None, true) => return Err(SecurityError::LoginMissing(name)),
            (Some(_), false) => return Err(SecurityError::LoginUnused(name)),
            _ => {}
        }
        if let Some(path) = &ca_file {
            if !wants_tls {
                return Err(SecurityError::AuthoritiesUnused(name));
            }
            let unreadable =
                |error: std::io::Error| SecurityError::Authorities { path: path.clone(), reason: error.to_string() };
            std::fs::File::open(path).map_err(unreadable)?;
        }
        if let Some(key) = client.keys().find(|key| !ALLOWED.contains(&key.as_str())) {
            return Err(SecurityError::NotAllowed { key: key.clone() });
        }
        Ok(Self { protocol, login, ca_file, client })
    }

    /// The password, which may come from a file that can be read again.
    #[must_use]
    pub fn password(&self) -> Option<&Secret> {
        self.login.as_ref().map(|login| &login.password)
    }

    /// Adds the settings to those of a client.
    pub fn apply(&self, config: &mut ClientConfig) {
        for (key, value) in &self.client {
            config.set(key, value);
        }
        if self.protocol == SecurityProtocol::Plaintext {
            return;
        }
        config.set("security.protocol", self.protocol.to_string());
        if let Some(Login { mechanism, username, password }) = &self.login {
            config.set("sasl.mechanisms", mechanism.to_string());
            config.set("sasl.username", username).set("sasl.password", password.expose());
        }
        if let Some(path) = &self.ca_file {
            config.set("ssl.ca.location", path.to_string_lossy());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Login {
        let (mechanism, username) = (SaslMechanism::ScramSha512, "shop".to_owned());
        Login { mechanism, username, password: "s3cr3t".into() }
    }

    #[test]
    fn settings_that_do_not_fit_together_are_refused() {
        let of = |protocol, login, ca: Option<&str>| {
            KafkaSecurity::new(protocol, login, ca.map(PathBuf::from), BTreeMap::new()).err()
        };
        assert_eq!(of(SecurityProtocol::SaslSsl, None, None), Some(SecurityError::LoginMissing("SASL_SSL")));
        assert_eq!(of(SecurityProtocol::Ssl, Some(login()), None), Some(SecurityError::LoginUnused("SSL")));
        let without_tls = of(SecurityProtocol::SaslPlaintext, Some(login()), Some("/ca.pem"));
        assert_eq!(without_tls, Some(SecurityError::AuthoritiesUnused("SASL_PLAINTEXT")));
        let missing = of(SecurityProtocol::Ssl, None, Some("/no/such/ca.pem")).expect("the file is missing");
        assert!(missing.to_string().starts_with("the ca_file /no/such/ca.pem cannot be read"), "{missing}");
        let client = BTreeMap::from([("group.id".to_owned(), "mine".to_owned())]);
        let refused =
            KafkaSecurity::new(SecurityProtocol::Plaintext, None, None, client).expect_err("it is not allowed");
        assert!(refused.to_string().starts_with("the client setting group.id is not among"), "{refused}");
    }

    #[test]
    fn a_client_gets_the_login_and_no_output_shows_it() {
        let client = BTreeMap::from([("client.rack".to_owned(), "a".to_owned())]);
        let security =
            KafkaSecurity::new(SecurityProtocol::SaslSsl, Some(login()), None, client).expect("they fit together");
        let mut config = ClientConfig::new();
        security.apply(&mut config);
        let settings = ["security.protocol", "sasl.mechanisms", "sasl.username", "sasl.password", "client.rack"];
        let values = settings.map(|key| config.get(key).unwrap_or_default());
        assert_eq!(values, ["SASL_SSL", "SCRAM-SHA-512", "shop", "s3cr3t", "a"]);
        assert!(!format!("{security:?} {config:?}").contains("s3cr3t"));
    }

    #[test]
    fn librdkafka_knows_every_setting_and_has_tls_and_sasl() {
        let mut config = ClientConfig::new();
        KafkaSecurity::new(SecurityProtocol::SaslSsl, Some(login()), None, BTreeMap::new())
            .expect("they fit together")
            .apply(&mut config);
        let client: rdkafka::error::KafkaResult<rdkafka::consumer::BaseConsumer> = config.create();
        assert!(client.is_ok(), "{:?}", client.err());
        for key in ALLOWED {
            let refused = ClientConfig::new().set(key, "\u{1}").create::<rdkafka::consumer::BaseConsumer>().err();
            let said = refused.map(|error| error.to_string()).unwrap_or_default();
            assert!(!said.contains("No such configuration property"), "{key}: {said}");
        }
    }

    #[test]
    fn names_are_those_of_kafka() {
        assert_eq!("sasl_ssl".parse(), Ok(SecurityProtocol::SaslSsl));
        assert_eq!("scram-sha-256".parse(), Ok(SaslMechanism::ScramSha256));
        let refused = "GSSAPI".parse::<SaslMechanism>().expect_err("it is not built in");
        assert_eq!(refused, "it is one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512");
    }
}
