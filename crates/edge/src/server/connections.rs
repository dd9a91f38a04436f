//! How many connections there are, in all and from each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use metrics::gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::EdgeLimits;
use crate::proxies::TrustedProxies;

/// How many are told at once that there is no room for them. Others are not even told.
const LAST_WORDS: usize = 64;

/// How many connections each address has.
type ByAddress = Mutex<HashMap<IpAddr, usize>>;

/// There is no room for another connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// In the whole process.
    Process,
    /// For this address.
    Address,
}

impl Full {
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
    last_words: Arc<Semaphore>,
    per_address: usize,
    by_address: Arc<ByAddress>,
    proxies: TrustedProxies,
}

/// Room for a connection, until dropped.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    /// Where it is counted, unless it is a proxy's or only told that there is no room.
    counted: Option<(IpAddr, Arc<ByAddress>)>,
}

impl Connections {
    pub(super) fn new(limits: &EdgeLimits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            last_words: Arc::new(Semaphore::new(LAST_WORDS)),
            per_address: limits.connections_per_address,
            by_address: Arc::default(),
            proxies: limits.proxies.clone(),
        }
    }

    /// Room for a connection from an address. One of a trusted proxy is everybody's, and counted with all of them only.
    pub(super) fn admit(&self, address: IpAddr) -> Result<Place, Full> {
        let permit = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Full::Process)?;
        if self.proxies.contains(address) {
            return Ok(Place { _permit: permit, counted: None });
        }
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(address).or_default();
        if *count >= self.per_address {
            return Err(Full::Address);
        }
        *count += 1;
        gauge!("daybook_connected_addresses").set(f64::from(u32::try_from(by_address.len()).unwrap_or(u32::MAX)));
        Ok(Place { _permit: permit, counted: Some((address, Arc::clone(&self.by_address))) })
    }

    /// Room to be told that there is none.
    pub(super) fn last_words(&self) -> Option<Place> {
        let permit = Arc::clone(&self.last_words).try_acquire_owned().ok()?;
        Some(Place { _permit: permit, counted: None })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((address, by_address)) = &self.counted else { return };
        let mut by_address = by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back_and_proxies_are_not_counted_by_address() {
        let limits = EdgeLimits { connections: 4, connections_per_address: 2, ..EdgeLimits::default() };
        let connections = Connections::new(&limits);
        let [one, other, proxy] =
            ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|text| text.parse().expect("it is an address"));
        let first = connections.admit(one);
        let _second = connections.admit(one);
        assert_eq!(connections.admit(one).err(), Some(Full::Address));
        let proxies = [connections.admit(proxy), connections.admit(proxy)];
        assert!(proxies.iter().all(Result::is_ok));
        assert_eq!(connections.admit(other).err(), Some(Full::Process));
        drop(proxies);
        assert!(connections.admit(other).is_ok());
        drop(first);
        assert!(connections.admit(one).is_ok());
        assert_eq!(connections.by_address.lock().expect("nobody panicked").len(), 1, "who has gone is forgotten");
    }
}
