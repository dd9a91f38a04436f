//! Receiving from Kafka: the loop of the process's one member of its group.

use std::{collections::BTreeSet, time::Duration};

use daybook_event_store::Daybook;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    Feed, Log,
    member::{Change, ConsumerGroup, Member},
};
use crate::{
    KafkaSettings,
    backoff::Backoff,
    consumer::{ConsumerError, checkpoints, contract::Partition},
    progress::{self, ConsumerProgress},
    signature::WireKeys,
};

/// How often the processed offsets are reported to the broker.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How often the lag is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(5);

impl Feed {
    /// Receives from Kafka, as a member of a group, until it is stopped. After a failure it joins the group again.
    pub async fn run(&self, group: &ConsumerGroup, book: &Daybook, kafka: &KafkaSettings, stop: &CancellationToken) {
        let mut backoff = Backoff::new();
        while !stop.is_cancelled() {
            match self.attempt(group, book, kafka, stop, &mut backoff).await {
                Ok(()) => break,
                Err(error) => tracing::warn!(group = group.name, %error, "the group is joined again"),
            }
            stop.run_until_cancelled(backoff.wait()).await;
        }
    }

    /// Is a member of the group until it is stopped, or until something fails.
    async fn attempt(
        &self,
        group: &ConsumerGroup,
        book: &Daybook,
        kafka: &KafkaSettings,
        stop: &CancellationToken,
        backoff: &mut Backoff,
    ) -> Result<(), ConsumerError> {
        match stop.run_until_cancelled(kafka.topics_are_there()).await {
            Some(topics) => topics?,
            None => return Ok(()),
        }
        let mut member = Member::join(kafka, group, WireKeys::load(book).await?)?;
        let ended = tokio::select! {
            ended = self.receive(book, &mut member, backoff) => ended,
            Partition { topic, nr } = self.stalled() => Err(ConsumerError::Stalled { topic, partition: nr }),
            () = self.measure(book) => Ok(()),
            () = stop.cancelled() => Ok(()),
        };
        self.revoke();
        member.leave().await;
        ended
    }

    /// Hands over what comes, for the partitions that this process has at the time.
    async fn receive(&self, book: &Daybook, member: &mut Member, backoff: &mut Backoff) -> Result<(), ConsumerError> {
        let mut report = interval(REPORT_EVERY);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let change = tokio::select! {
                change = member.receive(self, book) => change?,
                _ = report.tick() => {
                    member.report(&self.take_reports());
                    continue;
                }
            };
            self.revoke();
            if let Change::Assigned(partitions) = change {
                tracing::debug!(partitions = partitions.len(), "assigned");
                let logs = self.logs(book, member, partitions).await?;
                self.assign(logs.iter().cloned());
                member.accept(&logs)?;
                backoff.reset();
            }
        }
    }

    /// The logs of partitions, and where to begin in each.
    async fn logs(
        &self,
        book: &Daybook,
        member: &Member,
        partitions: Vec<Partition>,
    ) -> Result<Vec<(Partition, Log)>, ConsumerError> {
        let known = checkpoints::known(book, &self.subscribers()).await?;
        let published = checkpoints::published(book).await?;
        let logs = member.ends(partitions).await?.into_iter().map(|(partition, ends)| {
            let of = |consumer: &str| known.get(consumer)?.get(&partition).copied();
            let log = self.log(&partition, ends, of, published.get(&partition));
            (partition, log)
        });
        Ok(logs.collect())
    }

    /// Measures the lag of the subscribers again and again, without an end.
    async fn measure(&self, book: &Daybook) {
        let mut measure = interval(MEASURE_EVERY);
        let mut shown = BTreeSet::new();
        loop {
            measure.tick().await;
            match progress::list(book).await {
                Ok(mut all) => {
                    let names = self.subscribers();
                    all.retain(|progress| names.contains(&progress.consumer));
                    show(&all, &mut shown);
                }
                Err(error) => tracing::debug!(%error, "the lag was not measured"),
            }
        }
    }
}

/// Shows how far the subscribers are. One that was shown and is gone, such as the view before a rebuild, has no lag any more: what it
/// showed last would raise an alarm for ever.
fn show(all: &[ConsumerProgress], shown: &mut BTreeSet<String>) {
    let names = all.iter().map(|progress| progress.consumer.clone()).collect();
    for gone in std::mem::replace(shown, names).difference(shown) {
        set(gone, 0, 0, 0);
    }
    for progress in all {
        set(&progress.consumer, progress.lag, progress.parked, progress.waiting);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float; exact up to 2^53 events")]
fn set(consumer: &str, lag: i64, parked: i64, waiting: i64) {
    let name = consumer.to_owned();
    metrics::gauge!("daybook_consumer_lag_events", "consumer" => name.clone()).set(lag as f64);
    metrics::gauge!("daybook_consumer_parked_events", "consumer" => name.clone()).set(parked as f64);
    metrics::gauge!("daybook_consumer_waiting_for_upgrade", "consumer" => name).set(waiting as f64);
}
