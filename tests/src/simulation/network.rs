//! The network between processes and the database. A seed decides the faults and the delays of each request.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::scheduler::ProcessId;
use crate::nemesis::random::Random;

/// How many of a thousand requests have each kind of fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultRates {
    /// The connection is refused.
    pub refused: u64,
    /// The request does not arrive.
    pub lost: u64,
    /// The request is executed, and its response does not arrive.
    pub unanswered: u64,
    /// The connection is cut while the request is on its way or is executed.
    pub cut: u64,
    /// The request or its response is delayed.
    pub slow: u64,
}

impl FaultRates {
    /// Draws the rate of each kind of fault: high, low or zero. Many faults of one kind find other defects than a few of every kind.
    #[must_use]
    pub fn draw(random: &mut Random) -> Self {
        let mut rate = || match random.between(0, 4) {
            0 => 100,
            1 => 20,
            _ => 0,
        };
        Self { refused: rate(), lost: rate(), unanswered: rate(), cut: rate(), slow: rate() * 3 }
    }
}

/// How one request and its response are delivered.
#[derive(Debug, Clone, Copy)]
pub struct Delivery {
    /// The delay of the request.
    pub request_delay: Duration,
    /// Whether the request arrives.
    pub request_arrives: bool,
    /// The delay of the response.
    pub response_delay: Duration,
    /// Whether the response arrives.
    pub response_arrives: bool,
    /// The time after which the connection is cut, if it is.
    pub cut_after: Option<Duration>,
}

/// The network, with the faults so far.
pub struct Network {
    database: ProcessId,
    state: Mutex<(Random, FaultRates, FaultCounts)>,
}

/// The number of faults of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Connections refused.
    pub refused: u64,
    /// Requests lost.
    pub lost: u64,
    /// Responses lost.
    pub unanswered: u64,
    /// Connections cut.
    pub cut: u64,
    /// Processes killed.
    pub killed: u64,
}

impl std::ops::AddAssign for FaultCounts {
    fn add_assign(&mut self, other: Self) {
        self.refused += other.refused;
        self.lost += other.lost;
        self.unanswered += other.unanswered;
        self.cut += other.cut;
        self.killed += other.killed;
    }
}

/// The longest delay without a fault, in microseconds.
const USUAL_DELAY: u64 = 400;
/// The longest delay of a slow request, in microseconds.
const SLOW_DELAY: u64 = 40_000;

impl Network {
    /// A network without faults, to the database of this process.
    #[must_use]
    pub fn new(database: ProcessId, random: Random) -> Self {
        Self { database, state: Mutex::new((random, FaultRates::default(), FaultCounts::default())) }
    }

    /// The process of the database.
    #[must_use]
    pub const fn database(&self) -> ProcessId {
        self.database
    }

    /// Changes the rates of faults.
    pub fn set_fault_rates(&self, rates: FaultRates) {
        self.lock().1 = rates;
    }

    /// Counts a process that was killed.
    pub fn count_kill(&self) {
        self.lock().2.killed += 1;
    }

    /// The faults so far.
    #[must_use]
    pub fn faults(&self) -> FaultCounts {
        self.lock().2
    }

    fn lock(&self) -> MutexGuard<'_, (Random, FaultRates, FaultCounts)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws the delivery of the next request. None when the connection is refused.
    pub fn draw_delivery(&self) -> Option<Delivery> {
        let (random, rates, faults) = &mut *self.lock();
        let mut happens = |rate, count: &mut u64| {
            let happens = random.between(0, 1_000) < rate;
            *count += u64::from(happens);
            happens
        };
        if happens(rates.refused, &mut faults.refused) {
            return None;
        }
        let request_arrives = !happens(rates.lost, &mut faults.lost);
        let response_arrives = !happens(rates.unanswered, &mut faults.unanswered);
        let cut = happens(rates.cut, &mut faults.cut);
        let longest = |slow| if slow { SLOW_DELAY } else { USUAL_DELAY };
        let (slow_request, slow_response) = (happens(rates.slow, &mut 0), happens(rates.slow, &mut 0));
        let request_delay = Duration::from_micros(random.between(0, longest(slow_request)));
        let response_delay = Duration::from_micros(random.between(0, longest(slow_response)));
        let cut_after = cut.then(|| Duration::from_micros(random.between(0, 2 * USUAL_DELAY)));
        Some(Delivery { request_delay, request_arrives, response_delay, response_arrives, cut_after })
    }
}
