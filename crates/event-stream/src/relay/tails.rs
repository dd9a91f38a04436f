//! The ends of the partitions: what was published, as the broker has it.

use std::{collections::BTreeMap, time::Instant};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{
    RelayError,
    checkpoint::{Last, Partition},
};
use crate::{
    envelope,
    kafka::{KafkaSettings, TIMEOUT},
};

/// The last event of every partition that has one.
pub(super) async fn read(kafka: &KafkaSettings) -> Result<BTreeMap<Partition, Last>, RelayError> {
    let kafka = kafka.clone();
    tokio::task::spawn_blocking(move || read_blocking(&kafka)).await.map_err(|_| RelayError::Interrupted)?
}

fn read_blocking(kafka: &KafkaSettings) -> Result<BTreeMap<Partition, Last>, RelayError> {
    let mut config = kafka.client();
    config.set("group.id", "daybook-relay-tails").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create()?;
    let mut wanted = TopicPartitionList::new();
    for topic in kafka.topology.topics() {
        for partition in 0..kafka.topology.partitions {
            let (low, high) = consumer.fetch_watermarks(&topic, partition, TIMEOUT)?;
            if high > low {
                wanted.add_partition_offset(&topic, partition, Offset::Offset(high - 1))?;
            }
        }
    }
    let mut lasts = BTreeMap::new();
    if wanted.count() == 0 {
        return Ok(lasts);
    }
    consumer.assign(&wanted)?;
    let begin = Instant::now();
    while lasts.len() < wanted.count() {
        let Some(message) = consumer.poll(std::time::Duration::from_millis(100)) else {
            if begin.elapsed() > TIMEOUT {
                return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut).into());
            }
            continue;
        };
        let message = message?;
        let position = envelope::sequence(&message).map_err(|source| RelayError::Envelope { position: 0, source })?;
        lasts.insert((message.topic().to_owned(), message.partition()), Last { position, offset: message.offset() });
    }
    Ok(lasts)
}

/// Whether what the broker has goes on from what was checkpointed. If not, a topic was lost, cut off or made anew.
pub(super) fn fit(checkpointed: &BTreeMap<Partition, Last>, found: &BTreeMap<Partition, Last>) -> bool {
    checkpointed.iter().all(|(partition, last)| match found.get(partition) {
        None => false,
        Some(end) => end == last || (end.offset > last.offset && end.position > last.position),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: i64, offset: i64) -> BTreeMap<Partition, Last> {
        BTreeMap::from([(("t".to_owned(), 0), Last { position, offset })])
    }

    #[test]
    fn a_topic_that_goes_on_fits_and_one_made_anew_does_not() {
        assert!(fit(&at(10, 5), &at(10, 5)));
        assert!(fit(&at(10, 5), &at(12, 6)), "published after the checkpoint");
        assert!(fit(&BTreeMap::new(), &at(12, 6)), "nothing was checkpointed");
        assert!(!fit(&at(10, 5), &BTreeMap::new()), "lost");
        assert!(!fit(&at(10, 5), &at(4, 2)), "cut off");
        assert!(!fit(&at(10, 5), &at(11, 5)), "made anew");
        assert!(!fit(&at(10, 5), &at(9, 7)), "made anew");
    }
}
