-- What the relay has published, and what consumers have taken in.

-- One row. `epoch` is raised by every leader, so that one who was asleep finds out that it is none any more.
CREATE TABLE relay (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch     bigint NOT NULL DEFAULT 0,
    position  bigint NOT NULL DEFAULT 0,
    republish boolean NOT NULL DEFAULT false
);
INSERT INTO relay DEFAULT VALUES;

-- The last event that was published to each partition, and where.
CREATE TABLE relay_partitions (
    topic         text NOT NULL,
    partition     integer NOT NULL,
    last_position bigint NOT NULL,
    last_offset   bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);

-- How far each consumer is in each partition; moved in the transaction of its effect.
CREATE TABLE consumer_checkpoints (
    consumer   text NOT NULL,
    topic      text NOT NULL,
    partition  integer NOT NULL,
    log_offset bigint NOT NULL,
    position   bigint NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
);

-- Events that a consumer could not take in, and those of the same stream that came after them.
CREATE TABLE parked_events (
    consumer  text NOT NULL,
    position  bigint NOT NULL,
    stream_id text NOT NULL,
    reason    text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, position)
);
