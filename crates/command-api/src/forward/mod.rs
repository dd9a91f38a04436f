//! Forwarding: commands that arrive in this process are decided in another one, the holder of the seat.
//!
//! A process keeps one connection to the holder, an HTTP connection that is upgraded. Each command is a [frame], and so is its answer.
//! Many commands share a packet, so a forwarded command costs little more than one that is decided here. Token, rate and role are
//! checked where the command arrives; access and rules are checked where it is decided.
//!
//! The holder shows its secret in the table of the seat. Only the processes of the shop can read that table.

mod actor;
mod forwarder;
mod frame;
mod link;
mod receiver;

use std::time::Duration;

pub use self::{forwarder::Forwarder, receiver::Receiver};

/// The path of the connections between processes.
pub(crate) const PATH: &str = "/seat";
/// The name of the protocol.
const PROTOCOL: &str = "daybook-commands";
/// How often the other end is asked whether it is alive.
const PING_EVERY: Duration = Duration::from_millis(500);
/// After how much silence the other end counts as dead. A process that is suspended is silent.
const SILENCE: Duration = Duration::from_secs(2);
