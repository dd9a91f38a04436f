//! The cache of folded streams, bounded by bytes. A lost entry costs a load, and never correctness.

use daybook_domain::{Source, State, StreamName};
use hashlink::LruCache;
use metrics::Gauge;

/// A folded stream.
pub(super) struct Entry {
    pub(super) state: State,
    pub(super) version: i32,
    size: usize,
}

impl Entry {
    pub(super) fn new(state: State, version: i32) -> Self {
        let size = state.heap_size();
        Self { state, version, size }
    }
}

/// The folded streams. The least recently used stream is evicted first.
pub(super) struct Cache {
    entries: LruCache<StreamName, Entry>,
    bytes: usize,
    max_bytes: usize,
    /// The metrics. They are looked up once, since each commit sets them.
    bytes_kept: Gauge,
    streams_kept: Gauge,
}

/// The bytes of an entry beside its state: its name twice, links and hash.
const OVERHEAD: usize = 192;

impl Cache {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            entries: LruCache::new_unbounded(),
            bytes: 0,
            max_bytes,
            bytes_kept: metrics::gauge!("daybook_bus_cache_bytes"),
            streams_kept: metrics::gauge!("daybook_bus_cache_streams"),
        }
    }

    /// Adds a loaded stream, unless the cache has it. The cached state may include events that are not committed yet.
    pub(super) fn insert(&mut self, stream: StreamName, entry: Entry) {
        if self.entries.peek(&stream).is_none() {
            self.bytes += entry.size + OVERHEAD;
            self.entries.insert(stream, entry);
        }
    }

    /// Marks a stream as used.
    pub(super) fn touch(&mut self, stream: &StreamName) {
        self.entries.get(stream);
    }

    /// Changes the state of a stream and raises its version by one. A stream that is not cached was decided on as new, so it begins
    /// empty.
    pub(super) fn evolve(&mut self, stream: &StreamName, change: impl FnOnce(&mut State)) -> Option<i32> {
        if self.entries.peek(stream).is_none() {
            self.insert(stream.clone(), Entry::new(State::empty(stream)?, 0));
        }
        let entry = self.entries.get_mut(stream)?;
        change(&mut entry.state);
        entry.version += 1;
        let size = entry.state.heap_size();
        self.bytes = self.bytes.saturating_sub(entry.size) + size;
        entry.size = size;
        Some(entry.version)
    }

    /// Removes a stream that is stale, and returns what was cached of it.
    pub(super) fn forget(&mut self, stream: &str) -> Option<Entry> {
        let entry = self.entries.remove(stream)?;
        self.bytes = self.bytes.saturating_sub(entry.size + OVERHEAD);
        Some(entry)
    }

    /// Removes all streams, because none is certain.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// Evicts the least recently used streams until the rest fits beside `other` bytes.
    pub(super) fn shrink(&mut self, other: usize) {
        while self.bytes > self.max_bytes.saturating_sub(other) {
            let Some((_, entry)) = self.entries.remove_lru() else { break };
            self.bytes = self.bytes.saturating_sub(entry.size + OVERHEAD);
        }
        self.measure();
    }

    #[expect(clippy::cast_precision_loss, reason = "a metric is a float; exact up to 2^53 bytes")]
    fn measure(&self) {
        self.bytes_kept.set(self.bytes as f64);
        self.streams_kept.set(self.entries.len() as f64);
    }
}

impl Source<State> for Cache {
    fn find(&self, stream: &StreamName) -> Option<(&State, i32)> {
        self.entries.peek(stream).map(|entry| (&entry.state, entry.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(stream: &StreamName) -> Entry {
        Entry::new(State::empty(stream).expect("the prefix is known"), 0)
    }

    #[test]
    fn the_least_recently_used_streams_are_evicted() {
        let names: Vec<_> = (0..10).map(|nr| StreamName::of("sku", nr)).collect();
        let one = entry(&names[0]).size + OVERHEAD;
        let mut cache = Cache::new(one * 5);
        for name in &names {
            cache.insert(name.clone(), entry(name));
        }
        cache.touch(&names[0]);
        cache.shrink(0);
        let kept: Vec<_> = names.iter().filter(|name| cache.find(name).is_some()).collect();
        assert_eq!(kept, [&names[0], &names[6], &names[7], &names[8], &names[9]]);
        assert_eq!(cache.bytes, one * 5);
    }

    #[test]
    fn a_late_load_does_not_undo_a_decision() {
        let name = StreamName::of("sku", 1);
        let mut cache = Cache::new(usize::MAX);
        cache.insert(name.clone(), entry(&name));
        assert_eq!(cache.evolve(&name, |_| {}), Some(1));
        cache.insert(name.clone(), entry(&name));
        assert_eq!(cache.find(&name).map(|(_, version)| version), Some(1));
    }
}
