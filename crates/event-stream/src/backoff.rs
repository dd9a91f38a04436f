//! Waiting longer after each failure, and never in step with others who failed for the same reason.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// How long to wait after the next failure: 200 ms after the first one, twice as long after each further one, 5 s at most by default.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Backoff {
    /// Nothing has failed yet.
    #[must_use]
    pub const fn new() -> Self {
        Self::up_to(LONGEST)
    }

    /// Nothing has failed yet, and no wait is longer than this.
    #[must_use]
    pub const fn up_to(longest: Duration) -> Self {
        Self { next: FIRST, longest }
    }

    /// It works again: the next failure is a first one.
    pub const fn reset(&mut self) {
        self.next = FIRST;
    }

    /// The time that it is now; the next one is longer.
    pub(crate) fn time(&mut self) -> Duration {
        let time = self.next;
        self.next = self.longest.min(time * 2);
        time
    }

    /// Waits between half and the whole of the time that it is now.
    pub async fn wait(&mut self) {
        tokio::time::sleep(jittered(self.time())).await;
    }
}

/// Between half and the whole of a time.
pub(crate) fn jittered(time: Duration) -> Duration {
    // The keys of a new hash table are the one source of randomness in the standard library.
    let random = RandomState::new().hash_one(()) & 0xff;
    time / 2 + time * u32::try_from(random).unwrap_or(0) / 512
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_between_half_and_the_whole() {
        let time = Duration::from_millis(512);
        for _ in 0..1_000 {
            assert!((Duration::from_millis(256)..=time).contains(&jittered(time)));
        }
    }
}
