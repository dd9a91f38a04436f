//! TLS and login of Kafka, as flags.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use clap::Args;
use daybook_event_store::Secret;
use daybook_event_stream::{KafkaSecurity, Login, SaslMechanism, SecurityProtocol};

use crate::{Usage, connection::secret};

/// A setting of librdkafka, as KEY=VALUE.
#[derive(Debug, Clone)]
pub(crate) struct ClientSetting(String, String);

impl FromStr for ClientSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or_else(|| "it is not KEY=VALUE".to_owned())?;
        Ok(Self(key.trim().to_owned(), value.trim().to_owned()))
    }
}

/// TLS and login of Kafka.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Kafka")]
pub struct KafkaFlags {
    /// How connections to Kafka are protected: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
    #[arg(long, env = "DAYBOOK_KAFKA_SECURITY_PROTOCOL", default_value_t)]
    kafka_security_protocol: SecurityProtocol,
    /// How the login is sent: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    #[arg(long, env = "DAYBOOK_KAFKA_SASL_MECHANISM")]
    kafka_sasl_mechanism: Option<SaslMechanism>,
    /// The name of the login.
    #[arg(long, env = "DAYBOOK_KAFKA_SASL_USERNAME")]
    kafka_sasl_username: Option<String>,
    /// Its password.
    #[arg(long, env = "DAYBOOK_KAFKA_SASL_PASSWORD", hide_env_values = true)]
    kafka_sasl_password: Option<Secret>,
    /// A file that holds the password. It is read again on SIGHUP, for clients that are made later.
    #[arg(long, env = "DAYBOOK_KAFKA_SASL_PASSWORD_FILE", value_name = "FILE")]
    kafka_sasl_password_file: Option<PathBuf>,
    /// The authorities (PEM) that sign the certificates of the brokers. Those of the system if none is given.
    #[arg(long, env = "DAYBOOK_KAFKA_CA_FILE", value_name = "FILE")]
    kafka_ca_file: Option<PathBuf>,
    /// A further setting of librdkafka.
    #[arg(long, env = "DAYBOOK_KAFKA_CLIENT", value_delimiter = ',', value_name = "KEY=VALUE")]
    kafka_client: Vec<ClientSetting>,
}

impl KafkaFlags {
    /// The settings, if they fit together.
    ///
    /// # Errors
    /// When they do not, or when a file cannot be read.
    pub fn security(&self) -> anyhow::Result<KafkaSecurity> {
        let (text, file) = (self.kafka_sasl_password.as_ref(), self.kafka_sasl_password_file.as_deref());
        let password = secret("kafka-sasl-password", text, file)?;
        let login = match (self.kafka_sasl_mechanism, &self.kafka_sasl_username, password) {
            (Some(mechanism), Some(username), Some(password)) => {
                Some(Login { mechanism, username: username.clone(), password })
            }
            (None, None, None) => None,
            _ => {
                let why = "a login at Kafka takes a mechanism, a username and a password; set all of them or none";
                return Err(Usage(why.to_owned()).into());
            }
        };
        let client: BTreeMap<_, _> =
            self.kafka_client.iter().map(|ClientSetting(key, value)| (key.clone(), value.clone())).collect();
        let security = KafkaSecurity::new(self.kafka_security_protocol, login, self.kafka_ca_file.clone(), client);
        Ok(security.map_err(|error| Usage(error.to_string()))?)
    }
}
