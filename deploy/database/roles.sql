-- The roles of a shop's database, each with no more rights than its processes need.
--
--   psql --dbname shop --file deploy/database/roles.sql
--
-- Run it in the shop's database as a superuser (or as a role with CREATEROLE that owns the database): before the first `daybook migrate`,
-- and after every one. It may be repeated at any time. It sets no passwords: set them with \password, or use certificates.
--
-- daybook_migrate    daybook migrate: the only one that changes the schema. Its tables belong to daybook_owner
-- daybook_command    serve --roles command-api
-- daybook_relay      serve --roles relay
-- daybook_project    serve --roles projectors: makes the schemas and the tables of views
-- daybook_query      serve --roles query-api: only reads, also on a hot standby
-- daybook_react      serve --roles reactors: has a bus of its own, so it has the rights of daybook_command too
-- daybook_backup     daybook backup
-- daybook_monitor    metrics of PostgreSQL
-- daybook_analyst    read tables, each statement for a minute at most
--
-- `CONNECTION LIMIT` is set where it does not depend on the number of processes. For the others, `ALTER ROLE … CONNECTION LIMIT` to
-- the budget (--db-connections) times the processes. This script leaves it as it is.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

BEGIN;

CREATE FUNCTION pg_temp.make_role(name text, attributes text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
        EXECUTE format('CREATE ROLE %I', name);
    END IF;
    EXECUTE format('ALTER ROLE %I %s', name, attributes);
END $$;

SELECT pg_temp.make_role('daybook_owner', 'NOLOGIN');
SELECT pg_temp.make_role('daybook_migrate', 'LOGIN CONNECTION LIMIT 3');
SELECT pg_temp.make_role('daybook_command', 'LOGIN');
SELECT pg_temp.make_role('daybook_relay', 'LOGIN');
SELECT pg_temp.make_role('daybook_project', 'LOGIN');
SELECT pg_temp.make_role('daybook_query', 'LOGIN');
SELECT pg_temp.make_role('daybook_react', 'LOGIN');
SELECT pg_temp.make_role('daybook_backup', 'LOGIN REPLICATION CONNECTION LIMIT 3');
SELECT pg_temp.make_role('daybook_monitor', 'LOGIN CONNECTION LIMIT 3');
SELECT pg_temp.make_role('daybook_analyst', 'LOGIN CONNECTION LIMIT 5');

-- What a migration makes belongs to the owner. A migration may also drop a view that no program has any more.
GRANT daybook_owner TO daybook_migrate;
ALTER ROLE daybook_migrate SET role = 'daybook_owner';
GRANT daybook_project TO daybook_owner;
GRANT daybook_command TO daybook_react;
GRANT pg_monitor TO daybook_monitor;
ALTER ROLE daybook_query SET default_transaction_read_only = on;
ALTER ROLE daybook_analyst SET default_transaction_read_only = on;
ALTER ROLE daybook_analyst SET statement_timeout = '60s';

DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO daybook_migrate, daybook_command, daybook_relay, daybook_project, '
                   'daybook_query, daybook_react, daybook_backup, daybook_monitor, daybook_analyst', current_database());
    EXECUTE format('GRANT CREATE ON DATABASE %I TO daybook_owner, daybook_project', current_database());
END $$;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO daybook_owner;
GRANT USAGE ON SCHEMA public TO daybook_command, daybook_relay, daybook_project, daybook_query, daybook_react, daybook_backup;

-- What an earlier superuser has made.
DO $$
DECLARE
    thing record;
BEGIN
    FOR thing IN
        SELECT format('ALTER TABLE %s OWNER TO daybook_owner', c.oid::regclass) AS change
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
          AND c.relowner <> 'daybook_owner'::regrole
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO daybook_owner', p.oid::regprocedure)
        FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace AND p.proowner <> 'daybook_owner'::regrole
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
        UNION ALL
        SELECT 'ALTER SCHEMA read OWNER TO daybook_owner'
        FROM pg_namespace WHERE nspname = 'read' AND nspowner <> 'daybook_owner'::regrole
        UNION ALL
        SELECT 'ALTER VIEW read.view_status OWNER TO daybook_owner'
        FROM pg_class WHERE oid = to_regclass('read.view_status') AND relowner <> 'daybook_owner'::regrole
    LOOP
        EXECUTE thing.change;
    END LOOP;
    IF to_regclass('public.views') IS NULL THEN
        RETURN;
    END IF;
    -- The schemas of the versions of the views, their tables, and the plain views on the version that is shown.
    FOR thing IN
        SELECT format('ALTER SCHEMA %I OWNER TO daybook_project', n.nspname) AS change
        FROM pg_namespace n JOIN views v ON n.nspname ~ ('^' || v.name || '_v[0-9]+$')
        WHERE n.nspowner <> 'daybook_project'::regrole
        UNION ALL
        SELECT format('ALTER TABLE %s OWNER TO daybook_project', c.oid::regclass)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN views v ON n.nspname ~ ('^' || v.name || '_v[0-9]+$')
        WHERE c.relkind IN ('r', 'p') AND c.relowner <> 'daybook_project'::regrole
        UNION ALL
        SELECT format('ALTER VIEW %s OWNER TO daybook_project', c.oid::regclass)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'read' AND c.relkind = 'v' AND c.relname <> 'view_status' AND c.relowner <> 'daybook_project'::regrole
    LOOP
        EXECUTE thing.change;
    END LOOP;
END $$;

-- Rights on a table, where it exists: before the first migration there are none.
CREATE FUNCTION pg_temp.allow(rights text, relation text, VARIADIC grantees text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    grantee text;
BEGIN
    IF to_regclass(relation) IS NOT NULL THEN
        FOREACH grantee IN ARRAY grantees LOOP
            EXECUTE format('GRANT %s ON %s TO %I', rights, relation, grantee);
        END LOOP;
    END IF;
END $$;

-- Every process checks that the schema fits.
SELECT pg_temp.allow('SELECT', relation, 'daybook_command', 'daybook_relay', 'daybook_project', 'daybook_query', 'daybook_react')
FROM unnest(ARRAY['schema_state', 'daybook_migrations', 'daybook_stream_migrations', 'daybook_projector_migrations',
                  'daybook_reactor_migrations', 'head', 'events']) AS relation;

SELECT pg_temp.allow('SELECT', 'commands', 'daybook_command');
SELECT pg_temp.allow('INSERT', 'events', 'daybook_command');
SELECT pg_temp.allow('INSERT', 'commands', 'daybook_command');
SELECT pg_temp.allow('UPDATE', 'head', 'daybook_command');
SELECT pg_temp.allow('SELECT, INSERT, UPDATE, DELETE', 'snapshots', 'daybook_command');
SELECT pg_temp.allow('SELECT', 'snapshots', 'daybook_query');

-- Who reads this table can sign messages. A program that only reads views must not.
SELECT pg_temp.allow('SELECT', 'wire_keys', 'daybook_relay', 'daybook_project', 'daybook_react');
SELECT pg_temp.allow('SELECT, UPDATE', 'relay', 'daybook_relay');
SELECT pg_temp.allow('SELECT, INSERT, UPDATE, DELETE', 'relay_partitions', 'daybook_relay');
SELECT pg_temp.allow('SELECT, INSERT, UPDATE, DELETE', 'relay_set_aside', 'daybook_relay');
SELECT pg_temp.allow('SELECT', 'relay_set_aside', 'daybook_command', 'daybook_project', 'daybook_query', 'daybook_react');
SELECT pg_temp.allow('SELECT', relation, 'daybook_relay', 'daybook_query') FROM unnest(ARRAY['consumer_checkpoints', 'parked_events']) AS relation;

SELECT pg_temp.allow('SELECT', relation, 'daybook_project', 'daybook_query', 'daybook_react')
FROM unnest(ARRAY['relay', 'relay_partitions', 'views']) AS relation;
SELECT pg_temp.allow('SELECT, INSERT, UPDATE, DELETE', relation, 'daybook_project', 'daybook_react')
FROM unnest(ARRAY['consumer_checkpoints', 'parked_events']) AS relation;
SELECT pg_temp.allow('INSERT, UPDATE, DELETE', 'views', 'daybook_project');
SELECT pg_temp.allow('SELECT, INSERT, UPDATE, DELETE', 'reactions', 'daybook_react');

-- Tables that every process keeps itself registered in, where the program has them.
SELECT pg_temp.allow('SELECT, INSERT, UPDATE, DELETE', relation, 'daybook_command', 'daybook_relay', 'daybook_project', 'daybook_react')
FROM unnest(ARRAY['seat', 'process']) AS relation;

SELECT pg_temp.allow('SELECT', relation, 'daybook_backup') FROM unnest(ARRAY['head', 'events']) AS relation;

-- The read tables. A rebuild makes the views of the schema `read` again, so the rights are defaults.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'read') THEN
        GRANT USAGE, CREATE ON SCHEMA read TO daybook_project;
        GRANT USAGE ON SCHEMA read TO daybook_query, daybook_react, daybook_analyst;
        GRANT SELECT ON ALL TABLES IN SCHEMA read TO daybook_project, daybook_query, daybook_react, daybook_analyst;
        ALTER DEFAULT PRIVILEGES FOR ROLE daybook_project IN SCHEMA read
            GRANT SELECT ON TABLES TO daybook_query, daybook_react, daybook_analyst;
    END IF;
END $$;
-- `read.view_status` asks this of the tables with the rights of its caller.
REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM daybook_analyst;

COMMIT;
