//! The processes of a cluster, by name, and the network around each.

use crate::nemesis::{process::Process, proxy::Proxy};

/// The names of the processes. Each begins with its role.
pub const ROLES: [&str; 9] = [
    "command-api-0",
    "command-api-1",
    "relay-0",
    "relay-1",
    "projectors-0",
    "projectors-1",
    "reactors-0",
    "reactors-1",
    "query-api-0",
];

/// The roles that are clients of the broker.
pub const WITH_BROKER: [&str; 6] = [ROLES[2], ROLES[3], ROLES[4], ROLES[5], ROLES[6], ROLES[7]];

/// The name of imports on their connections to PostgreSQL. An import is no role.
pub const IMPORT: &str = "import";

/// The clients of PostgreSQL whose connections can be disturbed.
pub const WITH_POSTGRES: [&str; 10] =
    [ROLES[0], ROLES[1], ROLES[2], ROLES[3], ROLES[4], ROLES[5], ROLES[6], ROLES[7], ROLES[8], IMPORT];

/// A process of the engine, with the network around it.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) process: Option<Process>,
    /// Whether its port is known already.
    pub(super) ready: bool,
    /// The proxy between the process and PostgreSQL.
    pub(super) postgres: Proxy,
    /// The proxy between the process and the broker.
    pub(super) broker: Proxy,
    /// The proxy between the process and the command-api for its mutations.
    pub(super) commands: Proxy,
    /// The proxy between clients and the process.
    pub(super) front: Proxy,
}

/// A link of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// PostgreSQL.
    Postgres,
    /// The broker.
    Broker,
    /// Its clients.
    Clients,
    /// The command-api for its mutations.
    Commands,
}
