-- What it takes to go on after a broker was lost, and to keep those out who were asleep meanwhile.

-- `position` is what is known to have been published at some time and never falls, so that readers who wait for a position are
-- not held up while a lost topic is filled again; `cursor` is where publishing stands now.
ALTER TABLE relay ADD cursor bigint NOT NULL DEFAULT 0;
UPDATE relay SET cursor = position;

-- `last_position` is the newest event that was ever published to the partition; `log_position` is the one at `last_offset` of
-- the log as it is now, and `topic_identity` is the cluster that this log was on.
ALTER TABLE relay_partitions ADD log_position bigint, ADD topic_identity text;
UPDATE relay_partitions SET log_position = last_position;
ALTER TABLE relay_partitions ALTER log_position SET NOT NULL;

-- Raised by whoever takes the partition over; who had it before can commit no more.
ALTER TABLE consumer_checkpoints ADD generation bigint NOT NULL DEFAULT 0;

CREATE INDEX parked_events_by_stream ON parked_events (consumer, stream_id);

-- As before, but a consumer that has not begun yet has taken in nothing.
CREATE OR REPLACE FUNCTION consumer_position(name text) RETURNS bigint STABLE LANGUAGE sql AS $$
    SELECT CASE WHEN count(c.position) = 0 THEN 0
                ELSE least(r.position, min(c.position) FILTER (WHERE c.position < p.last_position)) END
    FROM relay r
    LEFT JOIN consumer_checkpoints c ON c.consumer = name
    LEFT JOIN relay_partitions p ON p.topic = c.topic AND p.partition = c.partition
    GROUP BY r.position
$$;
