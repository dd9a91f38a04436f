//! Noticing that nothing comes from a partition though it holds more.
//!
//! A client that knew a topic before it was lost takes the leaders of the new one for outdated. It waits for ever without an error
//! (librdkafka 2.12, where a broker had been started again since the topic was created). A log that lost its messages before they were
//! read shows nothing until the next message. A client that begins again reads what the log holds.

use std::time::Duration;

use super::{
    ConsumerError,
    contract::{AssignedPartition, ConsumerEnvironment, Partition},
};

/// How often the checkpoints are compared with the ends of the logs. What a log held at one look has come by the next.
const EVERY: Duration = Duration::from_secs(5);

/// Compares the checkpoints with the ends of the logs now and then.
pub(super) struct StallWatch {
    /// When to look next.
    pub(super) due: Duration,
    /// Whether all messages that had come were processed at some time since the last look. What is missing had not come then.
    emptied: bool,
    /// By partition: its position and the end of its log at the last look.
    seen: Vec<Option<(i64, i64)>>,
}

impl StallWatch {
    pub(super) fn new(now: Duration) -> Self {
        Self { due: now + EVERY, emptied: false, seen: Vec::new() }
    }

    /// Everything that has come was processed.
    pub(super) const fn emptied(&mut self) {
        self.emptied = true;
    }

    /// Looks, when it is time.
    ///
    /// # Errors
    /// [`ConsumerError::Stalled`]. A database that is out of reach is no error here: nothing is known then.
    pub(super) async fn look(
        &mut self,
        environment: &impl ConsumerEnvironment,
        partitions: &[AssignedPartition],
    ) -> Result<(), ConsumerError> {
        if environment.now() < self.due {
            return Ok(());
        }
        self.due = environment.now() + EVERY;
        let emptied = std::mem::take(&mut self.emptied);
        let seen = std::mem::take(&mut self.seen);
        let Ok(published) = environment.published().await else { return Ok(()) };
        for (nr, AssignedPartition { partition, checkpoint }) in partitions.iter().enumerate() {
            let position = checkpoint.position;
            if emptied && seen.get(nr).copied().flatten().is_some_and(|(was, end)| was == position && end > position) {
                let Partition { topic, nr } = partition.clone();
                return Err(ConsumerError::Stalled { topic, partition: nr });
            }
            let end = published.get(partition).map(|published| published.log_end);
            self.seen.push(end.map(|end| (position, end)));
        }
        Ok(())
    }
}
