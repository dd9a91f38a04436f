//! How often somebody may ask: a bucket of requests for each address and for each holder of a token, that fills up again by so
//! many a second (GCRA, by the crate `governor`). What is not asked for is not remembered: each kind of bucket has a most of
//! them, and the one that was asked last is let go of first.
//!
//! Each API counts by itself, and each process: a limit holds for a shop as often as it has such processes.

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

/// The most buckets of a kind: some 10 MB.
const MAX_BUCKETS: usize = 100_000;

/// So many requests a second, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many a second, in the long run.
    pub per_second: NonZeroU32,
    /// How many at once, after a silence.
    pub burst: NonZeroU32,
}

/// A rate, or none: written as `50`, `50/200` (a second, at once) or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub Option<Rate>);

/// A text that is no [`Limit`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a limit is a number of requests a second, such as 50, with how many at once, such as 50/200, or off")]
pub struct NotALimit;

impl Limit {
    /// No limit.
    pub const OFF: Self = Self(None);

    /// So many a second, and four times as many at once.
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

/// How often who may ask.
#[derive(Debug, Clone)]
pub struct RateLimits {
    /// Everybody together who comes from one address (of IPv6: one network of 64 bits) without a token of staff.
    pub address: Limit,
    /// One customer, from wherever they come.
    pub customer: Limit,
    /// One holder of a token of staff: of support, or an admin.
    pub staff: Limit,
}

impl RateLimits {
    /// Everybody may ask as often as they like.
    pub const OFF: Self = Self { address: Limit::OFF, customer: Limit::OFF, staff: Limit::OFF };
}

impl Default for RateLimits {
    /// 100 a second from an address, 50 a second of a customer. Staff is not limited: their programs import and reconcile, and
    /// whoever gave them a token can take it back.
    fn default() -> Self {
        let per_second = |number| NonZeroU32::new(number).map_or(Limit::OFF, Limit::per_second);
        Self { address: per_second(100), customer: per_second(50), staff: Limit::OFF }
    }
}

/// The address that a request is counted for. A request that has none is not counted by address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Somebody asks too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; ask again in {} s", self.retry_after_seconds())]
pub struct TooOften {
    /// After how long the next request will be let in.
    pub retry_after: Duration,
}

impl TooOften {
    /// The same in whole seconds, as the header `Retry-After` says it: at least 1.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u16 {
        let begun = u64::from(self.retry_after.subsec_nanos() > 0);
        u16::try_from(self.retry_after.as_secs() + begun).unwrap_or(u16::MAX).max(1)
    }
}

/// Counts requests. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Rates<C: Clock = MonotonicClock>(Arc<Buckets<C>>);

struct Buckets<C: Clock> {
    addresses: Option<Counter<IpAddr, C>>,
    customers: Option<Counter<Actor, C>>,
    staff: Option<Counter<Actor, C>>,
}

impl Rates {
    /// Counters with nothing counted.
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

    /// Counts a request of an actor; of nobody when their token was not accepted.
    ///
    /// # Errors
    /// [`TooOften`] when it is one too many. It is not counted then, so asking too often does not make the wait longer.
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

/// What is counted as one address: whoever has an address of IPv6 has the whole network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
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

/// The buckets that were asked last, so that nobody can fill the memory with addresses.
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
        text.parse().expect("it is a limit")
    }

    fn from(address: &str) -> Option<ClientAddress> {
        Some(ClientAddress(address.parse().expect("it is an address")))
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
        let refused = guest("192.0.2.1").expect_err("it is empty");
        assert_eq!((refused.retry_after, refused.retry_after_seconds()), (Duration::from_millis(100), 1));
        assert_eq!(rates.check(None, from("192.0.2.1")), Err(refused), "a token that is not accepted is nobody's");
        clock.advance(Duration::from_secs(1));
        assert_eq!((0..30).filter(|_| guest("::ffff:192.0.2.1").is_ok()).count(), 10);
        assert_eq!(guest("192.0.2.2"), Ok(()), "everybody has their own");
        assert_eq!((0..30).filter(|nr| guest(&format!("2001:db8::{nr}")).is_ok()).count(), 20, "a network is one");
        assert_eq!(rates.check(Some(&Actor::Guest), None), Ok(()));

        let admin = Actor::Admin("ada".into());
        assert_eq!(rates.check(Some(&admin), from("192.0.2.1")), Ok(()), "staff is not counted by address");
        assert!(rates.check(Some(&admin), from("192.0.2.3")).is_err());
        assert_eq!(rates.check(Some(&Actor::Support("ada".into())), None), Ok(()));
    }

    #[test]
    fn customers_are_counted_wherever_they_come_from_and_staff_is_not_limited_unless_it_is_asked_for() {
        let limits = RateLimits { customer: limit("1/5"), ..RateLimits::default() };
        let rates = Rates::with_clock(&limits, &FakeRelativeClock::default());
        let ann = Actor::Customer("ann".parse().expect("a valid id"));
        let asked = (0..9).filter(|nr| rates.check(Some(&ann), from(&format!("192.0.2.{nr}"))).is_ok());
        assert_eq!(asked.count(), 5);
        let admin = Actor::Admin("ada".into());
        assert!((0..100_000).all(|_| rates.check(Some(&admin), from("192.0.2.1")).is_ok()));
    }

    #[test]
    fn more_addresses_than_there_are_buckets_do_not_take_more_memory() {
        let rates = Rates::with_clock(&RateLimits::default(), &FakeRelativeClock::default());
        for address in 0..150_000_u32 {
            let address = Some(ClientAddress(IpAddr::from(address.to_be_bytes())));
            assert_eq!(rates.check(None, address), Ok(()));
        }
        let Buckets { addresses, .. } = Arc::into_inner(rates.0).expect("nobody else has it");
        let buckets = addresses.expect("addresses are counted").0.into_state_store();
        assert_eq!(buckets.0.lock().expect("nobody panicked").len(), MAX_BUCKETS);
    }
}
