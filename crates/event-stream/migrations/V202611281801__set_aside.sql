-- Events that the relay does not publish, because the broker refuses them for good or no topic is for them. In their place the topic has a
-- message that says so, and consumers take such an event from the book. `no_topic` events are published by a program that knows their slice.
-- oldest: 202611281500
CREATE TABLE relay_set_aside (
    position     bigint PRIMARY KEY,
    stream_id    text NOT NULL,
    type         text NOT NULL,
    reason       text NOT NULL,
    no_topic     boolean NOT NULL,
    -- An operator has accepted that the event is not on the wire.
    skipped      boolean NOT NULL DEFAULT false,
    -- An operator wants the leader to try again.
    retry        boolean NOT NULL DEFAULT false,
    set_aside_at timestamptz NOT NULL DEFAULT now()
);

-- Whether the event, or an earlier one of its stream, waits for a program that knows it. Such a stream is not parked: a program that knows
-- the event goes on with it by itself.
ALTER TABLE parked_events ADD waiting boolean NOT NULL DEFAULT false;
UPDATE parked_events p SET waiting = true
WHERE EXISTS (
    SELECT FROM parked_events first
    WHERE first.consumer = p.consumer AND first.stream_id = p.stream_id
      AND (first.reason LIKE 'there is no event type %' OR first.reason LIKE 'event type % has no schema version %')
);
