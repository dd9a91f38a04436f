//! The number of connections, of the process and of each client address.

use std::{net::IpAddr, sync::Arc};

use metrics::gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::ConnectionLimits;
use crate::{
    callers::{Counted, Counts},
    proxies::TrustedProxies,
    rates::ClientAddress,
};

/// How many connections may be rejected with an answer at the same time. Beyond that, a connection is closed without one.
const MAX_REJECTIONS: usize = 64;

/// The limit that keeps a connection out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LimitReached {
    /// The connections of the process.
    Process,
    /// The connections of one address.
    Address,
}

impl LimitReached {
    /// The name of the limit, for metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Address => "address",
        }
    }
}

/// The connections of the process.
pub(super) struct Connections {
    all: Arc<Semaphore>,
    rejections: Arc<Semaphore>,
    per_address: usize,
    by_address: Counts<IpAddr>,
    proxies: TrustedProxies,
    /// Counts open connections for the end of the server. A WebSocket outlives the task that has served its request.
    open: TaskTracker,
}

/// The permit of a connection. It is returned when this is dropped.
pub(super) struct ConnectionPermit {
    _permit: OwnedSemaphorePermit,
    _open: TaskTrackerToken,
    /// The count for the address. None for a proxy, and for a connection that is being rejected.
    _counted: Option<Counted<IpAddr>>,
}

impl Connections {
    pub(super) fn new(limits: &ConnectionLimits, open: TaskTracker) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            rejections: Arc::new(Semaphore::new(MAX_REJECTIONS)),
            per_address: limits.connections_per_address,
            by_address: Counts::default(),
            proxies: limits.trusted_proxies.clone(),
            open,
        }
    }

    /// Admits a connection from an address. For IPv6, a network of 64 bits counts as one address. A connection of a trusted proxy
    /// carries requests of many clients, so it counts for the process only.
    pub(super) fn admit(&self, address: IpAddr) -> Result<ConnectionPermit, LimitReached> {
        let permit = Arc::clone(&self.all).try_acquire_owned().map_err(|_| LimitReached::Process)?;
        if self.proxies.contains(address) {
            return Ok(self.permit(permit, None));
        }
        let counted =
            self.by_address.add(ClientAddress(address).network(), self.per_address).ok_or(LimitReached::Address)?;
        gauge!("daybook_connected_addresses").set(f64::from(u32::try_from(self.by_address.keys()).unwrap_or(u32::MAX)));
        Ok(self.permit(permit, Some(counted)))
    }

    /// A permit to reject a connection with an answer.
    pub(super) fn reject(&self) -> Option<ConnectionPermit> {
        let permit = Arc::clone(&self.rejections).try_acquire_owned().ok()?;
        Some(self.permit(permit, None))
    }

    fn permit(&self, permit: OwnedSemaphorePermit, counted: Option<Counted<IpAddr>>) -> ConnectionPermit {
        ConnectionPermit { _permit: permit, _open: self.open.token(), _counted: counted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_returned_and_proxies_are_not_counted_by_address() {
        let limits = ConnectionLimits { connections: 4, connections_per_address: 2, ..ConnectionLimits::default() };
        let connections = Connections::new(&limits, TaskTracker::new());
        let [one, other, proxy] =
            ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|text| text.parse().expect("the address is valid"));
        let first = connections.admit(one);
        let _second = connections.admit(one);
        assert_eq!(connections.admit(one).err(), Some(LimitReached::Address));
        let proxies = [connections.admit(proxy), connections.admit(proxy)];
        assert!(proxies.iter().all(Result::is_ok));
        assert_eq!(connections.admit(other).err(), Some(LimitReached::Process));
        drop(proxies);
        assert!(connections.admit(other).is_ok());
        drop(first);
        assert!(connections.admit(one).is_ok());
        assert_eq!(connections.by_address.keys(), 1, "an address without connections is removed");
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_share_their_connections() {
        let limits = ConnectionLimits { connections: 9, connections_per_address: 2, ..ConnectionLimits::default() };
        let connections = Connections::new(&limits, TaskTracker::new());
        let admit = |text: &str| connections.admit(text.parse().expect("the address is valid"));
        let _held = [admit("2001:db8::1"), admit("2001:db8::2")];
        assert_eq!(admit("2001:db8::3").err(), Some(LimitReached::Address));
        assert!(admit("2001:db8:0:1::1").is_ok(), "another network is another client");
    }
}
