//! Rate limits: a bucket of requests for each address and for each holder of a token (GCRA, by the crate `governor`). A bucket
//! refills by so many requests a second. The number of buckets of a kind is bounded; the one that was used least recently is removed
//! first.
//!
//! Each API counts on its own, and so does each process: a shop with two such processes allows twice the rate.

use std::{
    fmt,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use daybook_kernel::Actor;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::StateStore,
};
use hashlink::LruCache;

/// The most buckets of a kind, about 10 MB.
const MAX_BUCKETS: usize = 100_000;

/// A number of requests a second, and a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The requests a second, in the long run.
    pub per_second: NonZeroU32,
    /// The requests at once, after a pause.
    pub burst: NonZeroU32,
}

/// A rate, or no limit. It is written as `50`, as `50/200` (a second, at once) or as `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub Option<Rate>);

/// A text that is no [`Limit`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a limit is a number of requests a second, such as 50, with how many at once, such as 50/200, or off")]
pub struct NotALimit;

impl Limit {
    /// No limit.
    pub const OFF: Self = Self(None);

    /// A rate a second, with a burst of four times as many.
    #[must_use]
    pub const fn per_second(per_second: NonZeroU32) -> Self {
        let burst = per_second.saturating_mul(NonZeroU32::MIN.saturating_add(3));
        Self(Some(Rate { per_second, burst }))
    }
}

impl FromStr for Limit {
    type Err = NotALimit;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.parse::<NonZeroU32>().map_err(|_| NotALimit);
        match text.split_once('/') {
            None if text == "off" => Ok(Self::OFF),
            None => Ok(Self::per_second(number(text)?)),
            Some((per_second, burst)) => {
                Ok(Self(Some(Rate { per_second: number(per_second)?, burst: number(burst)? })))
            }
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("off"),
            Some(Rate { per_second, burst }) => write!(f, "{per_second}/{burst}"),
        }
    }
}

/// The rate limits of a process.
#[derive(Debug, Clone)]
pub struct RateLimits {
    /// All requests of one address without a staff token. For IPv6, a network of 64 bits counts as one address.
    pub address: Limit,
    /// All requests of one customer, from any address.
    pub customer: Limit,
    /// All requests of one holder of a staff token (support or admin).
    pub staff: Limit,
}

impl RateLimits {
    /// No limits.
    pub const OFF: Self = Self { address: Limit::OFF, customer: Limit::OFF, staff: Limit::OFF };
}

impl Default for RateLimits {
    /// 100 a second for an address, 50 a second for a customer. Staff is not limited, since its programs import and reconcile.
    fn default() -> Self {
        let per_second = |number| NonZeroU32::new(number).map_or(Limit::OFF, Limit::per_second);
        Self { address: per_second(100), customer: per_second(50), staff: Limit::OFF }
    }
}

/// The address that a request is counted for. A request that has none is not counted by address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// A rate limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; ask again in {} s", self.retry_after_seconds())]
pub struct TooOften {
    /// When the next request will be admitted.
    pub retry_after: Duration,
}

impl TooOften {
    /// The same in whole seconds, for the header `Retry-After`: at least 1.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u16 {
        let started = u64::from(self.retry_after.subsec_nanos() > 0);
        u16::try_from(self.retry_after.as_secs() + started).unwrap_or(u16::MAX).max(1)
    }
}

/// Counts requests. It is cheap to clone, and clones share their counters.
#[derive(Clone)]
pub struct Rates<C: Clock = MonotonicClock>(Arc<Buckets<C>>);

struct Buckets<C: Clock> {
    addresses: Option<Counter<IpAddr, C>>,
    customers: Option<Counter<Actor, C>>,
    staff: Option<Counter<Actor, C>>,
}

impl Rates {
    /// New counters.
    #[must_use]
    pub fn new(limits: &RateLimits) -> Self {
        Self::with_clock(limits, &MonotonicClock)
    }
}

impl<C: Clock + Clone> Rates<C> {
    fn with_clock(limits: &RateLimits, clock: &C) -> Self {
        Self(Arc::new(Buckets {
            addresses: Counter::new(limits.address, clock),
            customers: Counter::new(limits.customer, clock),
            staff: Counter::new(limits.staff, clock),
        }))
    }

    /// Counts a request of an actor, or of none when its token was not accepted.
    ///
    /// # Errors
    /// [`TooOften`] when a limit is reached. Such a request is not counted, so it does not extend the wait.
    pub fn check(&self, actor: Option<&Actor>, address: Option<ClientAddress>) -> Result<(), TooOften> {
        let Buckets { addresses, customers, staff } = &*self.0;
        match actor {
            Some(actor @ (Actor::Support(_) | Actor::Admin(_) | Actor::System(_))) => {
                return check(staff.as_ref(), actor);
            }
            Some(actor @ Actor::Customer(_)) => check(customers.as_ref(), actor)?,
            Some(Actor::Guest) | None => {}
        }
        address.map_or(Ok(()), |ClientAddress(address)| check(addresses.as_ref(), &network(address)))
    }
}

/// What counts as one address: for IPv6 the network of 64 bits, since one client has all of it.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn check<K: Hash + Eq + Clone, C: Clock>(counter: Option<&Counter<K, C>>, key: &K) -> Result<(), TooOften> {
    let Some(Counter(limiter)) = counter else { return Ok(()) };
    limiter.check_key(key).map_err(|refused| TooOften { retry_after: refused.wait_time_from(limiter.clock().now()) })
}

/// Buckets of one kind.
struct Counter<K: Hash + Eq + Clone, C: Clock>(RateLimiter<K, Latest<K>, C, NoOpMiddleware<C::Instant>>);

impl<K: Hash + Eq + Clone, C: Clock + Clone> Counter<K, C> {
    fn new(limit: Limit, clock: &C) -> Option<Self> {
        let Rate { per_second, burst } = limit.0?;
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Some(Self(RateLimiter::new(quota, Latest::new(), clock.clone())))
    }
}

/// The buckets that were used last, so that many addresses cannot fill the memory.
struct Latest<K: Hash + Eq>(Mutex<LruCache<K, Nanos>>);

impl<K: Hash + Eq> Latest<K> {
    fn new() -> Self {
        Self(Mutex::new(LruCache::new(MAX_BUCKETS)))
    }
}

impl<K: Hash + Eq + Clone> StateStore for Latest<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(key) {
            let (outcome, next) = measure(Some(*bucket))?;
            *bucket = next;
            return Ok(outcome);
        }
        let (outcome, next) = measure(None)?;
        buckets.insert(key.clone(), next);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limit(text: &str) -> Limit {
        text.parse().expect("the limit is valid")
    }

    fn from(address: &str) -> Option<ClientAddress> {
        Some(ClientAddress(address.parse().expect("the address is valid")))
    }

    #[test]
    fn a_limit_is_written_as_it_is_read() {
        for (text, shown) in [("off", "off"), ("50", "50/200"), ("50/60", "50/60")] {
            assert_eq!(limit(text).to_string(), shown);
        }
        for text in ["", "0", "-1", "5/0", "5/", "much", "4294967296"] {
            assert_eq!(text.parse::<Limit>(), Err(NotALimit), "{text}");
        }
    }

    #[test]
    fn a_bucket_is_emptied_at_once_and_fills_up_by_the_second() {
        let clock = FakeRelativeClock::default();
        let limits = RateLimits { address: limit("10/20"), customer: Limit::OFF, staff: limit("1/1") };
        let rates = Rates::with_clock(&limits, &clock);
        let guest = |address: &str| rates.check(Some(&Actor::Guest), from(address));
        assert_eq!((0..30).filter(|_| guest("192.0.2.1").is_ok()).count(), 20);
        let refused = guest("192.0.2.1").expect_err("the bucket is empty");
        assert_eq!((refused.retry_after, refused.retry_after_seconds()), (Duration::from_millis(100), 1));
        assert_eq!(
            rates.check(None, from("192.0.2.1")),
            Err(refused),
            "a request without an actor counts for its address"
        );
        clock.advance(Duration::from_secs(1));
        assert_eq!((0..30).filter(|_| guest("::ffff:192.0.2.1").is_ok()).count(), 10);
        assert_eq!(guest("192.0.2.2"), Ok(()), "each address has its own bucket");
        assert_eq!(
            (0..30).filter(|nr| guest(&format!("2001:db8::{nr}")).is_ok()).count(),
            20,
            "an IPv6 network counts as one address"
        );
        assert_eq!(rates.check(Some(&Actor::Guest), None), Ok(()));

        let admin = Actor::Admin("ada".into());
        assert_eq!(rates.check(Some(&admin), from("192.0.2.1")), Ok(()), "staff is not counted by address");
        assert!(rates.check(Some(&admin), from("192.0.2.3")).is_err());
        assert_eq!(rates.check(Some(&Actor::Support("ada".into())), None), Ok(()));
    }

    #[test]
    fn customers_are_counted_across_addresses_and_staff_is_not_limited_by_default() {
        let limits = RateLimits { customer: limit("1/5"), ..RateLimits::default() };
        let rates = Rates::with_clock(&limits, &FakeRelativeClock::default());
        let ann = Actor::Customer("018f0000-0000-7000-8000-0000000000aa".parse().expect("a valid id"));
        let asked = (0..9).filter(|nr| rates.check(Some(&ann), from(&format!("192.0.2.{nr}"))).is_ok());
        assert_eq!(asked.count(), 5);
        let admin = Actor::Admin("ada".into());
        assert!((0..100_000).all(|_| rates.check(Some(&admin), from("192.0.2.1")).is_ok()));
    }

    #[test]
    fn more_addresses_than_buckets_take_no_more_memory() {
        let rates = Rates::with_clock(&RateLimits::default(), &FakeRelativeClock::default());
        for address in 0..150_000_u32 {
            let address = Some(ClientAddress(IpAddr::from(address.to_be_bytes())));
            assert_eq!(rates.check(None, address), Ok(()));
        }
        let Buckets { addresses, .. } = Arc::into_inner(rates.0).expect("no other clone exists");
        let buckets = addresses.expect("addresses are counted").0.into_state_store();
        assert_eq!(buckets.0.lock().expect("no thread panicked").len(), MAX_BUCKETS);
    }
}
