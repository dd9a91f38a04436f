-- The daybook: the book of original entry. Forward-only; a change is a new file.

-- One row. Whoever appends locks it, so positions are gapless and their order is the order of commits.
-- `epoch` is the identity of this history: it changes when a book is restored, so that readers notice.
CREATE TABLE head (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    position    bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL DEFAULT '-infinity',
    epoch       uuid NOT NULL DEFAULT gen_random_uuid()
) WITH (fillfactor = 10);
INSERT INTO head DEFAULT VALUES;

CREATE TABLE events (
    position       bigint PRIMARY KEY,
    stream_id      text COLLATE "C" NOT NULL,
    version        integer NOT NULL,
    type           text COLLATE "C" NOT NULL,
    schema_version smallint NOT NULL,
    event_id       uuid NOT NULL,
    recorded_at    timestamptz NOT NULL,
    effective_at   timestamptz NOT NULL,
    correlation_id uuid NOT NULL,
    causation_id   uuid NOT NULL,
    actor          text NOT NULL,
    trace          text,
    key_id         uuid,
    data           json NOT NULL
);
CREATE UNIQUE INDEX events_by_stream ON events (stream_id, version);

-- One row a command that was acknowledged: a repeated command id gets the first outcome. Its events are the `events`
-- positions from `first_position` on.
CREATE TABLE commands (
    command_id     uuid PRIMARY KEY,
    fingerprint    bytea NOT NULL,
    first_position bigint NOT NULL,
    events         integer NOT NULL
);

-- A state at a version, so that a long stream is not folded from its start. Only a cache: it may be deleted at any time.
CREATE TABLE snapshots (
    stream_id    text COLLATE "C" PRIMARY KEY,
    version      integer NOT NULL,
    fold_version smallint NOT NULL,
    state        json NOT NULL
);

-- The book is written once. Corrections are new events.
CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the book is append-only';
END $$;
CREATE TRIGGER events_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

-- Appends a batch, all of it or nothing, in one round trip. The statements are separate on purpose: each sees what was
-- committed before it began, so versions are read after the lock was granted. One statement would check them on a
-- snapshot that is older than its lock.
--
-- What is written needs no look-up before: the unique keys of `events` and `commands` refuse a version or a command that is
-- taken (23505), and the caller then asks with everything listed in `streams` and `checked_ids` to learn which. What is only
-- read is always listed. Nothing is written when a listed stream is not at its version (`actual` then holds the versions
-- that they are at, in the order asked) or when a listed command is known already (`duplicates`).
CREATE FUNCTION append_batch(
    streams text[], versions integer[], checked_ids uuid[],
    command_ids uuid[], fingerprints bytea[], first_events integer[], event_counts integer[],
    event_streams text[], event_versions integer[], types text[], schema_versions smallint[], event_ids uuid[],
    effective timestamptz[], correlation_ids uuid[], causation_ids uuid[], actors text[], traces text[],
    key_ids uuid[], payloads json[],
    OUT first_position bigint, OUT written_at timestamptz, OUT actual integer[], OUT duplicates uuid[]
) LANGUAGE plpgsql AS $$
DECLARE
    last_position bigint;
    last_written  timestamptz;
BEGIN
    SELECT h.position, h.recorded_at INTO last_position, last_written FROM head h FOR UPDATE;

    IF cardinality(streams) > 0 THEN
        SELECT array_agg(coalesce(at.version, 0) ORDER BY s.nr) INTO actual
        FROM unnest(streams) WITH ORDINALITY AS s (stream_id, nr)
        LEFT JOIN LATERAL (
            SELECT e.version FROM events e WHERE e.stream_id = s.stream_id ORDER BY e.version DESC LIMIT 1
        ) AS at ON true;
    ELSE
        actual := versions;
    END IF;

    IF cardinality(checked_ids) > 0 THEN
        SELECT array_agg(c.command_id) INTO duplicates FROM commands c WHERE c.command_id = ANY (checked_ids);
    END IF;

    IF actual IS DISTINCT FROM versions OR duplicates IS NOT NULL THEN
        RETURN;
    END IF;

    -- Recorded times never run backwards, so that "as of a time" and "as of a position" agree.
    written_at := greatest(clock_timestamp(), last_written);
    first_position := last_position + 1;

    INSERT INTO events
    SELECT last_position + e.nr, e.stream_id, e.version, e.type, e.schema_version, e.event_id, written_at,
           coalesce(e.effective_at, written_at), e.correlation_id, e.causation_id, e.actor, e.trace, e.key_id, e.data
    FROM unnest(event_streams, event_versions, types, schema_versions, event_ids, effective, correlation_ids,
                causation_ids, actors, traces, key_ids, payloads)
         WITH ORDINALITY AS e (stream_id, version, type, schema_version, event_id, effective_at, correlation_id,
                               causation_id, actor, trace, key_id, data, nr);

    INSERT INTO commands
    SELECT c.command_id, c.fingerprint, last_position + 1 + c.first_event, c.events
    FROM unnest(command_ids, fingerprints, first_events, event_counts) AS c (command_id, fingerprint, first_event, events);

    UPDATE head SET position = last_position + cardinality(types), recorded_at = written_at;
END $$;
