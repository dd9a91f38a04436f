//! The drain of a process: for a while it serves on, and asks its clients to use another process.
//!
//! What begins a drain, and what follows it, is the business of the binary. This is how everything else in the process learns of it.

use std::{
    future::Future,
    hash::{BuildHasher, RandomState},
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The drain of a process. Clones share it. By default it never begins, and would take no time.
#[derive(Debug, Clone, Default)]
pub struct Drain(Arc<State>);

#[derive(Debug, Default)]
struct State {
    begun: CancellationToken,
    begun_at: OnceLock<Instant>,
    /// The time over which the ends of streams are spread.
    spread: Duration,
}

impl Drain {
    /// A drain that has not begun. Streams end within `spread` of its begin.
    #[must_use]
    pub fn over(spread: Duration) -> Self {
        Self(Arc::new(State { spread, ..State::default() }))
    }

    /// Begins the drain. A second call does nothing.
    pub fn begin(&self) {
        self.0.begun_at.get_or_init(Instant::now);
        self.0.begun.cancel();
    }

    /// Whether the drain has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.begun_at.get().is_some()
    }

    /// Resolves when the drain begins. Whatever this process leads is given up then, before anything else stops.
    pub fn begun(&self) -> impl Future<Output = ()> + Send + use<> {
        // Each caller has a token of its own: its future looks at the token whenever its task wakes up, and one token is one lock.
        let begun = self.0.begun.child_token();
        async move { begun.cancelled().await }
    }

    /// Resolves when a long-lived stream has to end. Each stream gets another moment of the drain, so that the clients do not all
    /// connect to another process at once.
    pub fn stream_end(&self) -> impl Future<Output = ()> + Send + use<> {
        let (state, begun) = (Arc::clone(&self.0), self.begun());
        async move {
            begun.await;
            let begun_at = *state.begun_at.get_or_init(Instant::now);
            sleep_until(begun_at + part_of(state.spread)).await;
        }
    }
}

/// A random part of a time.
fn part_of(time: Duration) -> Duration {
    // The keys of a new hash table are the one source of randomness in the standard library.
    let random = RandomState::new().hash_one(()) & 0xff;
    time * u32::try_from(random).unwrap_or(0) / 256
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn streams_end_after_the_begin_of_the_drain() {
        let drain = Drain::over(Duration::ZERO);
        let (ends, clone) = (drain.stream_end(), drain.clone());
        let mut ends = std::pin::pin!(ends);
        assert!(!drain.has_begun() && ends.as_mut().now_or_never().is_none());
        clone.begin();
        assert!(drain.has_begun());
        ends.await;
        drain.stream_end().await;
        drain.begun().await;
    }

    #[test]
    fn a_part_is_never_the_whole() {
        let time = Duration::from_millis(512);
        assert!((0..1_000).all(|_| part_of(time) < time));
    }
}
