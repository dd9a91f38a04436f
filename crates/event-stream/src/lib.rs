//! The wire: events of the book on Kafka, and what consumes them.
//!
//! What belongs here: the envelope, the topics, the [relay](relay::Relay) that publishes, the [consumers](consumer::Consumer)
//! that projectors and reactors share, a [broker] inside the process. What does not: what an event means; which slices there are is
//! handed in as a [`Topology`].

mod backoff;
pub mod bounds;
pub mod broker;
pub mod consumer;
pub mod envelope;
mod event;
mod kafka;
mod migrate;
pub mod progress;
pub mod relay;
mod security;
pub mod signature;
pub mod topology;

pub use backoff::Backoff;
pub use consumer::{Consumer, Effect, EffectError, Start, feed::Feed};
pub use event::SharedEvent;
pub use kafka::KafkaSettings;
pub use migrate::{MIGRATIONS, migrate};
pub use relay::{Relay, RelaySettings};
pub use security::{KafkaSecurity, Login, SaslMechanism, SecurityError, SecurityProtocol};
pub use topology::{SliceTopic, Topology};
