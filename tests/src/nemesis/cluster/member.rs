//! The processes of a cluster, by name, and the network around each.

use crate::nemesis::{process::Process, proxy::Proxy};

/// The processes: the name of each, which begins with its role.
pub const ROLES: [&str; 7] =
    ["command-api-0", "command-api-1", "relay-0", "relay-1", "projectors-0", "projectors-1", "query-api-0"];

/// The name of an import, which is no role, on its connections to PostgreSQL.
pub const IMPORT: &str = "import";

/// Everybody whose connections to PostgreSQL can be disturbed.
pub const WITH_POSTGRES: [&str; 8] = [ROLES[0], ROLES[1], ROLES[2], ROLES[3], ROLES[4], ROLES[5], ROLES[6], IMPORT];

/// A process of the engine, with the network around it.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) process: Option<Process>,
    /// Whether its port is known already.
    pub(super) ready: bool,
    /// Between it and PostgreSQL.
    pub(super) postgres: Proxy,
    /// Between it and the broker.
    pub(super) broker: Proxy,
    /// Between it and the command-api that it sends mutations to.
    pub(super) commands: Proxy,
    /// Between clients and it.
    pub(super) front: Proxy,
}

/// What a process is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// PostgreSQL.
    Postgres,
    /// The broker.
    Broker,
    /// Its clients.
    Clients,
    /// The command-api that it sends mutations to.
    Commands,
}
