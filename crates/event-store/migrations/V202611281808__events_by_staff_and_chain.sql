-- Events are found by actor and by causal chain. An index of all events by either would slow down every append by a random page for
-- each event. So only those are indexed that are looked for and are few: the events of staff, and those of a chain that a command has
-- not begun itself. The chain that a command begins has the id of the command, which `commands` finds.
-- oldest: 202611281500
CREATE INDEX events_by_staff ON events (actor, position) WHERE actor LIKE 'admin:%' OR actor LIKE 'support:%';
CREATE INDEX events_by_chain ON events (correlation_id, position) WHERE correlation_id <> causation_id;
