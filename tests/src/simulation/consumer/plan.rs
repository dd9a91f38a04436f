//! The settings and faults of a seed of the consumers.

use std::time::Duration;

use daybook_event_stream::{Start, consumer::feed::InboxLimits};

use super::super::network::FaultRates;
use crate::nemesis::random::Random;

/// A consumer: its name, the slices that it consumes, and its start.
pub(super) struct ConsumerPlan {
    pub(super) name: &'static str,
    pub(super) slices: &'static [&'static str],
    pub(super) start: Start,
    /// The longest time of its transactions, in microseconds.
    pub(super) slow: u64,
}

/// The settings and faults of a seed.
pub(super) struct Plan {
    pub(super) fault_rates: FaultRates,
    pub(super) partitions: usize,
    pub(super) members: u64,
    pub(super) consumers: Vec<ConsumerPlan>,
    /// The consumer that cannot commit until the others have reached the end of the book.
    pub(super) locked: Option<&'static str>,
    /// Whether the last consumer does not run in the first process, because that process has another program.
    pub(super) absent: bool,
    /// How many of a hundred consumers hang once in a transaction, for so long that others adopt their partitions.
    pub(super) hang_percent: u64,
    /// How long a consumer takes to read a page of the book.
    pub(super) slow_read: Duration,
    pub(super) batch: usize,
    pub(super) inbox: InboxLimits,
    pub(super) events: u64,
    /// How many of a hundred rounds have a fault.
    pub(super) fault_percent: u64,
    /// How many of a hundred published positions the relay records late, at the next publishing.
    pub(super) late_record_percent: u64,
    /// How many of a hundred events are poisoned.
    pub(super) poison_percent: u64,
    /// How many of a hundred subscriptions end soon and start again.
    pub(super) resubscribe_percent: u64,
}

impl Plan {
    /// Whether the run has no faults.
    pub(super) fn has_no_faults(&self) -> bool {
        self.fault_rates == FaultRates::default() && self.fault_percent == 0
    }

    pub(super) fn draw(random: &mut Random) -> Self {
        let some = |random: &mut Random, high| usize::try_from(random.between(1, high)).unwrap_or(1);
        let consumers = consumers(random);
        let locked = (random.percent(25) && consumers.len() > 1).then(|| random.pick(&consumers)).flatten();
        let members = random.between(1, 4);
        Self {
            fault_rates: if random.percent(20) { FaultRates::default() } else { FaultRates::draw(random) },
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
            fault_percent: if random.percent(20) { 0 } else { random.between(5, 60) },
            late_record_percent: if random.percent(50) { 0 } else { random.between(10, 60) },
            poison_percent: if random.percent(70) { 0 } else { random.between(1, 20) },
            resubscribe_percent: if random.percent(60) { 0 } else { random.between(10, 70) },
            consumers,
        }
    }
}

/// One to three consumers: a view of one slice, a view of two slices, and a consumer that begins at the head of the book.
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
