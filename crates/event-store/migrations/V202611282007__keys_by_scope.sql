-- A command is known by its id and the scope of its sender, so that nobody can use up the id of another's command. The scope is
-- the actor; for a guest, who has no name, it is `guest:` and the cart or order that only its bearer knows.
--
-- This rewrites the log of commands once. Programs from before go on: they append through the function with their parameters,
-- which derives the scopes, and they find every command by its id as before.
-- oldest: 202611281500
ALTER TABLE commands ADD COLUMN scope text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE commands DISABLE TRIGGER USER;
UPDATE commands c SET scope = CASE
    WHEN e.actor = 'guest' THEN 'guest:' || (
        SELECT min(of.stream_id) FROM events of
        WHERE of.position >= c.first_position AND of.position < c.first_position + c.events
    )
    ELSE e.actor
END
FROM events e WHERE e.position = c.first_position;
ALTER TABLE commands ENABLE TRIGGER USER;
ALTER TABLE commands DROP CONSTRAINT commands_pkey, ADD CONSTRAINT commands_pkey PRIMARY KEY (command_id, scope);
ALTER TABLE commands ALTER COLUMN scope DROP DEFAULT;

-- The same contract as before, with a scope beside each command. A command is a duplicate where its id is known in its scope.
CREATE FUNCTION append_batch(
    streams text[], versions integer[], checked_ids uuid[], checked_scopes text[],
    command_ids uuid[], scopes text[], fingerprints bytea[], first_events integer[], event_counts integer[],
    event_streams text[], event_versions integer[], types text[], schema_versions smallint[], event_ids uuid[],
    effective timestamptz[], correlation_ids uuid[], causation_ids uuid[], actors text[], traces text[],
    key_ids uuid[], payloads json[],
    OUT first_position bigint, OUT written_at timestamptz, OUT actual integer[], OUT duplicates uuid[]
) LANGUAGE plpgsql AS $$
DECLARE
    last_position bigint;
BEGIN
    -- Recorded times never run backwards, so that "as of a time" and "as of a position" agree.
    UPDATE head
    SET position = position + cardinality(types), recorded_at = greatest(clock_timestamp(), recorded_at)
    RETURNING position, recorded_at INTO last_position, written_at;

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
        SELECT array_agg(k.command_id) INTO duplicates
        FROM (SELECT unnest(checked_ids) AS command_id, unnest(checked_scopes) AS scope) AS k
        JOIN LATERAL (
            SELECT FROM commands c WHERE c.command_id = k.command_id AND c.scope = k.scope LIMIT 1
        ) AS known ON true;
    END IF;

    IF actual IS DISTINCT FROM versions OR duplicates IS NOT NULL THEN
        UPDATE head SET position = position - cardinality(types);
        RETURN;
    END IF;

    first_position := last_position - cardinality(types) + 1;

    INSERT INTO events
    SELECT e.position, e.stream_id, e.version, e.type, e.schema_version, e.event_id, written_at,
           coalesce(e.effective_at, written_at), e.correlation_id, e.causation_id, e.actor, e.trace, e.key_id, e.data
    FROM (
        SELECT generate_series(first_position, last_position) AS position, unnest(event_streams) AS stream_id,
               unnest(event_versions) AS version, unnest(types) AS type, unnest(schema_versions) AS schema_version,
               unnest(event_ids) AS event_id, unnest(effective) AS effective_at, unnest(correlation_ids) AS correlation_id,
               unnest(causation_ids) AS causation_id, unnest(actors) AS actor, unnest(traces) AS trace,
               unnest(key_ids) AS key_id, unnest(payloads) AS data
    ) AS e;

    INSERT INTO commands (command_id, scope, fingerprint, first_position, events)
    SELECT c.command_id, c.scope, c.fingerprint, first_position + c.first_event, c.events
    FROM (
        SELECT unnest(command_ids) AS command_id, unnest(scopes) AS scope, unnest(fingerprints) AS fingerprint,
               unnest(first_events) AS first_event, unnest(event_counts) AS events
    ) AS c;
END $$;

-- For programs from before, which know no scopes. What they check is known in whatever scope.
CREATE OR REPLACE FUNCTION append_batch(
    streams text[], versions integer[], checked_ids uuid[],
    command_ids uuid[], fingerprints bytea[], first_events integer[], event_counts integer[],
    event_streams text[], event_versions integer[], types text[], schema_versions smallint[], event_ids uuid[],
    effective timestamptz[], correlation_ids uuid[], causation_ids uuid[], actors text[], traces text[],
    key_ids uuid[], payloads json[],
    OUT first_position bigint, OUT written_at timestamptz, OUT actual integer[], OUT duplicates uuid[]
) LANGUAGE plpgsql AS $$
DECLARE
    scopes        text[];
    known_ids     uuid[];
    known_scopes  text[];
BEGIN
    PERFORM FROM head FOR UPDATE;
    SELECT array_agg(c.command_id), array_agg(c.scope) INTO known_ids, known_scopes
    FROM commands c WHERE c.command_id = ANY (checked_ids);
    SELECT array_agg(CASE
        WHEN actors[u.first + 1] = 'guest' THEN 'guest:' || (
            SELECT min(s.stream_id) FROM unnest(event_streams[u.first + 1 : u.first + u.count]) AS s (stream_id)
        )
        ELSE actors[u.first + 1]
    END ORDER BY u.nr) INTO scopes
    FROM unnest(first_events, event_counts) WITH ORDINALITY AS u (first, count, nr);
    SELECT b.first_position, b.written_at, b.actual, b.duplicates INTO first_position, written_at, actual, duplicates
    FROM append_batch(
        streams, versions, coalesce(known_ids, '{}'), coalesce(known_scopes, '{}'),
        command_ids, coalesce(scopes, '{}'), fingerprints, first_events, event_counts,
        event_streams, event_versions, types, schema_versions, event_ids, effective, correlation_ids, causation_ids,
        actors, traces, key_ids, payloads
    ) AS b;
END $$;
