//! How large messages may be. Each bound follows from the one before it: the event, the message, what producers and topics take.

use daybook_event_store::MAX_EVENT_BYTES;

use crate::broker::RETAINED_BYTES_PER_PARTITION;

/// The most bytes of a message beside the data of its event: the key, the headers and `_meta`. Most of it is the name of the stream, which
/// stands in four places and has at most 520 bytes. The actor has a name of any length that the head of a request can hold.
pub const MAX_ENVELOPE_BYTES: usize = 64 << 10;

/// The most bytes of a message whose event was written by this program.
pub const MAX_MESSAGE_BYTES: usize = MAX_EVENT_BYTES + MAX_ENVELOPE_BYTES;

/// The most bytes of a message that the producer takes: the key and the value. Events of books from before events were bounded may be larger
/// than [`MAX_MESSAGE_BYTES`]. The headers of such a message still fit the topic.
pub const PRODUCER_BYTES: usize = 1_040_000;

/// The most bytes of a batch of messages in a topic that the relay makes. It is the default of Apache Kafka, so topics that were made before fit
/// as well.
pub const TOPIC_BYTES: usize = 1_048_588;

/// The most bytes of the data of events that are read from the book at once.
pub(crate) const PAGE_BYTES: usize = 32 << 20;

/// What a batch of one message has beside the message.
const FRAMING: usize = 1_024;

const _: () = assert!(MAX_MESSAGE_BYTES + FRAMING <= PRODUCER_BYTES);
const _: () = assert!(PRODUCER_BYTES + 8 * FRAMING <= TOPIC_BYTES);
const _: () = assert!(2 * TOPIC_BYTES < RETAINED_BYTES_PER_PARTITION);
