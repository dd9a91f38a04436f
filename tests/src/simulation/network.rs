//! The network between processes and the database: what becomes of each request, by a seed.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::scheduler::Group;
use crate::nemesis::random::Random;

/// How often what goes wrong, of a thousand requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// There is no connection to be had.
    pub refused: u64,
    /// The request does not arrive.
    pub lost: u64,
    /// It does what it says, and the answer does not arrive.
    pub unanswered: u64,
    /// Whoever asked is cut off, while the request is still on its way or being worked on.
    pub cut: u64,
    /// It takes long, there or back.
    pub slow: u64,
}

impl Weather {
    /// Some kinds of trouble, each often, seldom or never: a storm of one kind finds other things than a drizzle of all.
    #[must_use]
    pub fn any(random: &mut Random) -> Self {
        let mut often = || match random.between(0, 4) {
            0 => 100,
            1 => 20,
            _ => 0,
        };
        Self { refused: often(), lost: often(), unanswered: often(), cut: often(), slow: often() * 3 }
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// How long it is on its way there.
    pub there: Duration,
    /// Whether it arrives.
    pub arrives: bool,
    /// How long the answer is on its way back.
    pub back: Duration,
    /// Whether the answer arrives.
    pub answers: bool,
    /// After what time whoever asked is cut off, if at all.
    pub cut: Option<Duration>,
}

/// The network, and how many of its requests had what fate.
pub struct Network {
    group: Group,
    state: Mutex<(Random, Weather, Harm)>,
}

/// How often what went wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Harm {
    /// No connection.
    pub refused: u64,
    /// Requests that did not arrive.
    pub lost: u64,
    /// Answers that did not arrive.
    pub unanswered: u64,
    /// Connections cut.
    pub cut: u64,
    /// Processes killed.
    pub killed: u64,
}

impl std::ops::AddAssign for Harm {
    fn add_assign(&mut self, other: Self) {
        self.refused += other.refused;
        self.lost += other.lost;
        self.unanswered += other.unanswered;
        self.cut += other.cut;
        self.killed += other.killed;
    }
}

/// The longest that a request takes when nothing is wrong, in microseconds, and when something is.
const USUAL: u64 = 400;
const SLOW: u64 = 40_000;

impl Network {
    /// A calm network to a database that runs in this group.
    #[must_use]
    pub fn new(group: Group, random: Random) -> Self {
        Self { group, state: Mutex::new((random, Weather::default(), Harm::default())) }
    }

    /// The group of the database.
    #[must_use]
    pub const fn group(&self) -> Group {
        self.group
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        self.lock().1 = weather;
    }

    /// A process was killed.
    pub fn killed(&self) {
        self.lock().2.killed += 1;
    }

    /// What has gone wrong so far.
    #[must_use]
    pub fn harm(&self) -> Harm {
        self.lock().2
    }

    fn lock(&self) -> MutexGuard<'_, (Random, Weather, Harm)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of the next request; none when there is no connection.
    pub fn way(&self) -> Option<Way> {
        let (random, weather, harm) = &mut *self.lock();
        let mut happens = |chance, count: &mut u64| {
            let happens = random.between(0, 1_000) < chance;
            *count += u64::from(happens);
            happens
        };
        if happens(weather.refused, &mut harm.refused) {
            return None;
        }
        let arrives = !happens(weather.lost, &mut harm.lost);
        let answers = !happens(weather.unanswered, &mut harm.unanswered);
        let cut = happens(weather.cut, &mut harm.cut);
        let longest = |slow| if slow { SLOW } else { USUAL };
        let (slow_there, slow_back) = (happens(weather.slow, &mut 0), happens(weather.slow, &mut 0));
        let there = Duration::from_micros(random.between(0, longest(slow_there)));
        let back = Duration::from_micros(random.between(0, longest(slow_back)));
        let cut = cut.then(|| Duration::from_micros(random.between(0, 2 * USUAL)));
        Some(Way { there, arrives, back, answers, cut })
    }
}
