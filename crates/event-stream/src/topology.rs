//! Topics and partitions: where an event goes.

use daybook_event_store::RecordedEvent;

/// A slice and its streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceTopic {
    /// The name of the slice, such as `order`.
    pub slice: String,
    /// The prefixes of its streams: the part of their names before the first `-`.
    pub stream_prefixes: Vec<String>,
}

/// Which topics there are: one a slice, each with the same number of partitions, fixed for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// What the names of topics begin with.
    pub prefix: String,
    /// How many partitions each topic has.
    pub partitions: i32,
    /// The slices.
    pub slices: Vec<SliceTopic>,
}

/// A partition of a topic, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) slice: String,
    pub(crate) topic: String,
    pub(crate) partition: i32,
}

/// No slice has such a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no slice has a stream like `{0}`")]
pub struct UnknownStream(String);

impl Topology {
    /// The topic of a slice: `<prefix>.<slice>.events.v1`.
    #[must_use]
    pub fn topic(&self, slice: &str) -> String {
        format!("{}.{slice}.events.v1", self.prefix)
    }

    /// All topics.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        self.slices.iter().map(|slice| self.topic(&slice.slice)).collect()
    }

    /// The slice that a stream belongs to.
    ///
    /// # Errors
    /// [`UnknownStream`].
    pub fn slice_of(&self, stream_id: &str) -> Result<&str, UnknownStream> {
        self.slice_index(stream_id).map(|slice| self.slices[slice].slice.as_str())
    }

    /// The partition of a stream: where Java clients with the default partitioner put its key, too.
    #[must_use]
    pub fn partition_of(&self, stream_id: &str) -> i32 {
        // As Kafka's `Utils.toPositive(murmur2(key)) % partitions`.
        let positive = murmur2(stream_id.as_bytes()) & 0x7fff_ffff;
        i32::try_from(positive % self.partitions.unsigned_abs().max(1)).unwrap_or(0)
    }

    /// All partitions of all topics.
    pub(crate) fn shards(&self) -> Vec<Shard> {
        let of = |slice: &SliceTopic, partition| Shard {
            slice: slice.slice.clone(),
            topic: self.topic(&slice.slice),
            partition,
        };
        self.slices.iter().flat_map(|slice| (0..self.partitions).map(move |partition| of(slice, partition))).collect()
    }

    /// Which of the [shards](Self::shards) a stream is in.
    pub(crate) fn shard_of(&self, stream_id: &str) -> Result<usize, UnknownStream> {
        let slice = self.slice_index(stream_id)?;
        let (partition, partitions) = (self.partition_of(stream_id), self.partitions);
        let within = usize::try_from(partition).unwrap_or(0);
        Ok(slice * usize::try_from(partitions).unwrap_or(1) + within)
    }

    fn slice_index(&self, stream_id: &str) -> Result<usize, UnknownStream> {
        let prefix = stream_id.split_once('-').map_or("", |(prefix, _)| prefix);
        let slice = self.slices.iter().position(|slice| slice.stream_prefixes.iter().any(|own| own == prefix));
        slice.ok_or_else(|| UnknownStream(stream_id.to_owned()))
    }

    /// Whether an event is in a partition of a topic.
    #[must_use]
    pub fn is_in(&self, event: &RecordedEvent, topic: &str, partition: i32) -> bool {
        self.partition_of(&event.stream_id) == partition
            && self.slice_of(&event.stream_id).is_ok_and(|slice| self.topic(slice) == topic)
    }
}

/// MurmurHash2 with Kafka's seed (`org.apache.kafka.common.utils.Utils#murmur2`).
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut hash = SEED ^ length;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_kafka() {
        // The vectors of Kafka's own UtilsTest.testMurmur2.
        let vectors: [(&str, i32); 5] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ];
        for (text, hash) in vectors {
            assert_eq!(i32::from_ne_bytes(murmur2(text.as_bytes()).to_ne_bytes()), hash, "{text}");
        }
    }

    #[test]
    fn a_stream_has_one_topic_and_one_partition() {
        let slices = vec![SliceTopic { slice: "order".into(), stream_prefixes: vec!["order".into()] }];
        let topology = Topology { prefix: "daybook".into(), partitions: 4, slices };
        assert_eq!(
            topology.slice_of("order-1").map(|slice| topology.topic(slice)),
            Ok("daybook.order.events.v1".into())
        );
        assert!(topology.slice_of("nothing-1").is_err());
        assert!((0..4).contains(&topology.partition_of("order-1")));
    }
}
