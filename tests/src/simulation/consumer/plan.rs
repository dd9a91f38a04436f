//! What a seed has in store for the consumers.

use std::time::Duration;

use daybook_event_stream::{Start, consumer::feed::InboxLimits};

use super::super::network::Weather;
use crate::nemesis::random::Random;

/// A consumer: its name, the slices that it takes in, and where it begins.
pub(super) struct ConsumerPlan {
    pub(super) name: &'static str,
    pub(super) slices: &'static [&'static str],
    pub(super) start: Start,
    /// How long its transactions take at most, in microseconds.
    pub(super) slow: u64,
}

/// What a seed has in store.
pub(super) struct Plan {
    pub(super) weather: Weather,
    pub(super) partitions: usize,
    pub(super) members: u64,
    pub(super) consumers: Vec<ConsumerPlan>,
    /// The consumer that cannot commit until the others have come to the end of the book.
    pub(super) locked: Option<&'static str>,
    /// The last consumer does not run in the first of several processes, which has another program.
    pub(super) absent: bool,
    /// How many of a hundred consumers hang once in a transaction, for so long that others adopt their partitions.
    pub(super) hang_percent: u64,
    /// How long a consumer takes to read a page of the book.
    pub(super) slow_read: Duration,
    pub(super) batch: usize,
    pub(super) inbox: InboxLimits,
    pub(super) events: u64,
    /// Of a hundred rounds of the world, how many bring trouble.
    pub(super) trouble: u64,
    /// Of a hundred times that something was published, how often the relay notes it only at the next time.
    pub(super) notes_late: u64,
    /// Of a hundred events, how many are poisoned.
    pub(super) poison: u64,
    /// Of a hundred subscriptions, how many end soon and come again.
    pub(super) comes_and_goes: u64,
}

impl Plan {
    /// Whether nothing goes wrong.
    pub(super) fn is_calm(&self) -> bool {
        self.weather == Weather::default() && self.trouble == 0
    }

    pub(super) fn of(random: &mut Random) -> Self {
        let some = |random: &mut Random, high| usize::try_from(random.between(1, high)).unwrap_or(1);
        let consumers = consumers(random);
        let locked = (random.percent(25) && consumers.len() > 1).then(|| random.pick(&consumers)).flatten();
        let members = random.between(1, 4);
        Self {
            weather: if random.percent(20) { Weather::default() } else { Weather::any(random) },
            partitions: some(random, 5),
            members,
            absent: members > 1 && random.percent(25),
            hang_percent: if random.percent(75) { 0 } else { random.between(20, 100) },
            slow_read: Duration::from_millis(if random.percent(90) { 0 } else { random.between(500, 2_000) }),
            locked: locked.map(|consumer| consumer.name),
            batch: if random.percent(50) { some(random, 7) } else { 1_000 },
            inbox: if random.percent(50) {
                InboxLimits { messages: some(random, 7), bytes: 1 << 20 }
            } else {
                InboxLimits::default()
            },
            events: random.between(5, 40),
            trouble: if random.percent(20) { 0 } else { random.between(5, 60) },
            notes_late: if random.percent(50) { 0 } else { random.between(10, 60) },
            poison: if random.percent(70) { 0 } else { random.between(1, 20) },
            comes_and_goes: if random.percent(60) { 0 } else { random.between(10, 70) },
            consumers,
        }
    }
}

/// One to three of: a view of one slice, a view of two, and what begins at the head of the book.
fn consumers(random: &mut Random) -> Vec<ConsumerPlan> {
    let all: [(&str, &[&str], Start); 3] = [
        ("one_slice", &["order"], Start::Beginning),
        ("two_slices", &["order", "cart"], Start::Beginning),
        ("from_the_head", &["cart"], Start::Head),
    ];
    let count = usize::try_from(random.between(1, 4)).unwrap_or(1);
    let consumer = |(name, slices, start)| {
        let slow = if random.percent(30) { random.between(1_000, 1_000_000) } else { 0 };
        ConsumerPlan { name, slices, start, slow }
    };
    all.into_iter().take(count).map(consumer).collect()
}
