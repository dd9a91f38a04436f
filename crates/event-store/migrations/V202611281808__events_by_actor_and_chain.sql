-- Events are found by actor and by causal chain. An append must not pay for it: a B-tree of either would be one more random page for
-- each event. A summary of each range of the table costs next to nothing, as rows are only added at its end. It tells which ranges can
-- hold an actor or a chain; a range of today that is not summarised yet is read whole.
CREATE INDEX events_by_actor_and_chain ON events
    USING brin (actor text_bloom_ops, correlation_id uuid_bloom_ops) WITH (pages_per_range = 64, autosummarize = on);
