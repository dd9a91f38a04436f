"""A foreign consumer. It reads topics to their ends, and reads every message as a CloudEvent in binary mode.

    python read_cloud_events.py BROKERS TOPIC...

Prints one JSON object: per key, in the order of arrival, the position and the version of each event. Fails at the first message
that is not a CloudEvent, whose key is not its subject, or whose data differ from its headers.
"""

import json
import sys

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from kafka import KafkaConsumer, TopicPartition


def read(brokers: str, topics: list[str]) -> dict[str, list[list[int]]]:
    consumer = KafkaConsumer(bootstrap_servers=brokers, enable_auto_commit=False, consumer_timeout_ms=60_000)
    partitions = [TopicPartition(topic, nr) for topic in topics for nr in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends = consumer.end_offsets(partitions)
    found: dict[str, list[list[int]]] = {}
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        message = next(consumer)
        key = message.key.decode()
        event = from_binary_event(KafkaMessage(headers=dict(message.headers), key=message.key, value=message.value))
        data = event.get_data()
        assert event.get_specversion() == "1.0" and event.get_datacontenttype() == "application/json", event
        assert event.get_type().startswith("daybook.") and event.get_source() == "urn:daybook", event
        assert event.get_subject() == key == event.get_extension("partitionkey"), event
        assert data["_meta"]["id"] == event.get_id() and data["_meta"]["type"] == event.get_type(), data
        assert event.get_time().tzinfo is not None and event.get_dataschema(), event
        found.setdefault(key, []).append([int(event.get_extension(name)) for name in ("sequence", "streamversion")])
    consumer.close()
    return found


if __name__ == "__main__":
    json.dump(read(sys.argv[1], sys.argv[2:]), sys.stdout)
