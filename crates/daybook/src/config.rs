//! Configuration: where the servers are. Every value is a flag and an environment variable, and may stand in a [`file`]; what none
//! of them says is found in the `ready.json` of a running `daybook up`.

pub mod file;
pub mod limits;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use daybook_domain::ids::{Channel, LocationId};
use daybook_event_store::{Daybook, StoreSettings};
use daybook_event_stream::{
    KafkaSettings,
    broker::{self, Topic},
};
use serde::{Deserialize, Serialize};

/// The file in the data directory that holds [`Ready`] while `daybook up` is ready.
pub const READY_FILE: &str = "ready.json";

/// How to reach a running `daybook up`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Where it serves HTTP.
    pub url: String,
    /// A token for the role admin.
    pub admin_token: String,
    /// Its PostgreSQL.
    pub database_url: String,
    /// Its broker.
    pub kafka_brokers: String,
}

impl Ready {
    /// Reads what a running `daybook up` has left in its data directory.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(data: &Path) -> anyhow::Result<Self> {
        let file = data.join(READY_FILE);
        let text = std::fs::read_to_string(&file).with_context(|| {
            format!("no running `daybook up` was found by {}; start one, or say --database-url", file.display())
        })?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", file.display()))
    }
}

/// The topics.
#[derive(Debug, Clone, Args)]
pub struct Topics {
    /// What the names of topics begin with.
    #[arg(long, env = "DAYBOOK_TOPIC_PREFIX", default_value = "daybook")]
    pub topic_prefix: String,
    /// How many partitions each topic has; never changed once topics are made.
    #[arg(long, env = "DAYBOOK_PARTITIONS", default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=1_000))]
    pub partitions: i32,
    /// How many copies of each partition a new topic gets.
    #[arg(long, env = "DAYBOOK_REPLICATION", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=9))]
    pub replication: i32,
    /// How long a broker may keep a consumer waiting that has read everything, in milliseconds: 500, or 20 with the embedded one.
    #[arg(long, env = "DAYBOOK_FETCH_WAIT_MS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub fetch_wait_ms: Option<u64>,
}

/// What librdkafka waits as well, unless told otherwise.
const FETCH_WAIT: Duration = Duration::from_millis(500);

impl Topics {
    /// The topics as the embedded broker makes them.
    #[must_use]
    pub fn embedded(&self) -> Vec<Topic> {
        let names = self.at("").topology.topics();
        names.into_iter().map(|name| Topic { name, partitions: self.partitions }).collect()
    }

    /// The broker at an address, with these topics.
    #[must_use]
    pub fn at(&self, brokers: &str) -> KafkaSettings {
        self.waiting_at_most(FETCH_WAIT, brokers)
    }

    /// The embedded broker at an address, with these topics.
    #[must_use]
    pub fn at_embedded(&self, brokers: &str) -> KafkaSettings {
        self.waiting_at_most(broker::FETCH_WAIT, brokers)
    }

    fn waiting_at_most(&self, wait: Duration, brokers: &str) -> KafkaSettings {
        KafkaSettings {
            brokers: brokers.to_owned(),
            topology: daybook_projectors::topology(&self.topic_prefix, self.partitions),
            replication: self.replication,
            fetch_wait: self.fetch_wait_ms.map_or(wait, Duration::from_millis),
        }
    }
}

/// What guests and customers may buy.
#[derive(Debug, Clone, Args)]
pub struct Storefront {
    /// The channels that guests and customers may open carts in; staff may name any.
    #[arg(long, env = "DAYBOOK_STOREFRONT_CHANNELS", value_delimiter = ',', default_value = "web")]
    pub storefront_channels: Vec<Channel>,
    /// The locations that guests and customers may have goods sent from; any when left out.
    #[arg(long, env = "DAYBOOK_STOREFRONT_LOCATIONS", value_delimiter = ',')]
    pub storefront_locations: Vec<LocationId>,
}

impl From<Storefront> for daybook_command_api::http::Storefront {
    fn from(flags: Storefront) -> Self {
        let locations = (!flags.storefront_locations.is_empty()).then_some(flags.storefront_locations);
        Self { channels: flags.storefront_channels, locations }
    }
}

/// Where the servers are, for commands that work beside a running engine.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// The data directory of a running `daybook up`.
    #[arg(long, default_value = "./.daybook", global = true)]
    pub data: PathBuf,
    /// The PostgreSQL that holds the book.
    #[arg(long, env = "DATABASE_URL", global = true)]
    pub database_url: Option<String>,
    /// The Kafka brokers.
    #[arg(long, env = "KAFKA_BROKERS", global = true)]
    pub kafka_brokers: Option<String>,
}

impl Connection {
    /// The book.
    ///
    /// # Errors
    /// When nothing says where it is.
    pub fn book(&self) -> anyhow::Result<Daybook> {
        let database_url = match &self.database_url {
            Some(url) => url.clone(),
            None => Ready::read(&self.data)?.database_url,
        };
        Ok(Daybook::open(&StoreSettings { database_url, max_connections: 16 })?)
    }

    /// The brokers.
    ///
    /// # Errors
    /// When nothing says where they are.
    pub fn brokers(&self) -> anyhow::Result<String> {
        match &self.kafka_brokers {
            Some(brokers) => Ok(brokers.clone()),
            None => Ok(Ready::read(&self.data)?.kafka_brokers),
        }
    }
}
