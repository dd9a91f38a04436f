-- Commands that reactors are going to send, each at its time. A row is written in the transaction of the reactor's checkpoint, and
-- goes when its command was accepted or refused. A transaction that locks several rows locks them in the order of reactor and key.
CREATE TABLE reactions (
    id             uuid PRIMARY KEY,               -- also the id of the command: derives from the reactor, the event and a number
    reactor        text COLLATE "C" NOT NULL,
    key            text COLLATE "C" NOT NULL,      -- names the reaction among those of its reactor; a later one of the same key replaces it
    planned        timestamptz NOT NULL,           -- when its command is to be sent
    due            timestamptz NOT NULL,           -- when it is sent next: later than planned after a failure
    command        text NOT NULL,
    body           json NOT NULL,
    correlation_id uuid NOT NULL,
    causation_id   uuid NOT NULL,                  -- the event
    attempts       integer NOT NULL DEFAULT 0,
    leased_until   timestamptz,                    -- a worker has it in hand until then
    failure        text,                           -- why the last attempt failed
    parked         boolean NOT NULL DEFAULT false, -- the cause is the reaction itself, so other reactions can be sent
    UNIQUE (reactor, key)
);
CREATE INDEX reactions_by_due ON reactions (reactor, due);
CREATE INDEX reactions_that_failed ON reactions (reactor, planned) WHERE failure IS NOT NULL;
