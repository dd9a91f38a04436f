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

-- Everything up to which position of the book a consumer has taken in: the relay's position where it is up to date with every
-- partition, otherwise what the partition that is furthest behind has come to.
CREATE FUNCTION consumer_position(name text) RETURNS bigint STABLE LANGUAGE sql AS $$
    SELECT least(r.position, min(c.position) FILTER (WHERE c.position < p.last_position))
    FROM relay r
    LEFT JOIN consumer_checkpoints c ON c.consumer = name
    LEFT JOIN relay_partitions p ON p.topic = c.topic AND p.partition = c.partition
    GROUP BY r.position
$$;
