-- Commands that reactors are going to send, each at its time. A row is written in the transaction of the reactor's checkpoint, and
-- goes when its command was accepted or refused.
CREATE TABLE reactions (
    id             uuid PRIMARY KEY,      -- also the id of the command: derives from the reactor, the event and a number
    reactor        text NOT NULL,
    key            text NOT NULL,         -- names the reaction among those of its reactor; a later one of the same key replaces it
    due            timestamptz NOT NULL,
    command        text NOT NULL,
    body           json NOT NULL,
    correlation_id uuid NOT NULL,
    causation_id   uuid NOT NULL,         -- the event
    attempts       integer NOT NULL DEFAULT 0,
    leased_until   timestamptz,           -- a worker has it in hand until then
    failure        text,                  -- why the last attempt failed
    UNIQUE (reactor, key)
);
CREATE INDEX reactions_by_due ON reactions (due);
