//! How much each caller has at once: connections, operations, live streams. Rates bound what a caller begins; counts bound what a
//! caller keeps.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use daybook_kernel::Actor;

use crate::rates::{ClientAddress, network};

/// One of those that something is counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A client address. For IPv6, a network of 64 bits counts as one address.
    Address(IpAddr),
    /// A customer, or a holder of a staff token.
    Actor(Actor),
}

impl Caller {
    /// Those that a request is counted for: a guest by address, a customer by address and by customer, and staff by token. A guest without
    /// a known address is counted for none.
    #[must_use]
    pub fn of(actor: &Actor, address: Option<ClientAddress>) -> Vec<Self> {
        let by_address = address.map(|ClientAddress(address)| Self::Address(network(address)));
        match actor {
            Actor::Guest => by_address.into_iter().collect(),
            Actor::Customer(_) => by_address.into_iter().chain([Self::Actor(actor.clone())]).collect(),
            Actor::Support(_) | Actor::Admin(_) | Actor::System(_) => vec![Self::Actor(actor.clone())],
        }
    }
}

/// Counts what is held by keys. It is cheap to clone, and clones share their counters.
#[derive(Debug)]
pub struct Counts<K>(Arc<Mutex<HashMap<K, usize>>>);

impl<K> Clone for Counts<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// One of the things that are counted for a key, until it is dropped.
#[derive(Debug)]
pub struct Counted<K: Hash + Eq> {
    key: K,
    counts: Counts<K>,
}

impl<K: Hash + Eq> Counts<K> {
    /// Counts one more for a key. `None` when the key has `most` already.
    #[must_use]
    pub fn add(&self, key: K, most: usize) -> Option<Counted<K>>
    where
        K: Clone,
    {
        let mut counts = self.lock();
        match counts.get_mut(&key) {
            Some(count) if *count >= most => return None,
            Some(count) => *count += 1,
            None if most == 0 => return None,
            None => {
                counts.insert(key.clone(), 1);
            }
        }
        Some(Counted { key, counts: self.clone() })
    }

    /// Counts one more for each of some keys, or for none of them when one has `most` already.
    #[must_use]
    pub fn add_all(&self, keys: impl IntoIterator<Item = K>, most: usize) -> Option<Vec<Counted<K>>>
    where
        K: Clone,
    {
        keys.into_iter().map(|key| self.add(key, most)).collect()
    }

    /// How many keys hold anything.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        // A panic while the lock was held leaves valid counters.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Drop for Counted<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<ClientAddress> {
        Some(ClientAddress(text.parse().expect("the address is valid")))
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one_caller() {
        let callers = |text| Caller::of(&Actor::Guest, address(text));
        assert_eq!(callers("2001:db8::1"), callers("2001:db8::ffff:1"));
        assert_ne!(callers("2001:db8::1"), callers("2001:db8:0:1::1"));
        assert_eq!(callers("::ffff:192.0.2.1"), callers("192.0.2.1"));
        assert_eq!(Caller::of(&Actor::Guest, None), []);
    }

    #[test]
    fn staff_is_not_counted_by_address() {
        let admin = Actor::Admin("ada".into());
        assert_eq!(Caller::of(&admin, address("192.0.2.1")), [Caller::Actor(admin)]);
    }

    #[test]
    fn what_is_dropped_is_not_counted_any_more_and_a_refusal_counts_nothing() {
        let counts = Counts::default();
        let first = counts.add("a", 2);
        let both = counts.add_all(["b", "a"], 2);
        assert!(both.is_some());
        assert!(counts.add_all(["c", "a"], 2).is_none());
        assert_eq!(counts.keys(), 2, "the refused caller holds nothing");
        drop(first);
        assert!(counts.add("a", 2).is_some());
        drop(both);
        assert_eq!(counts.keys(), 0);
        assert!(counts.add("a", 0).is_none());
    }
}
