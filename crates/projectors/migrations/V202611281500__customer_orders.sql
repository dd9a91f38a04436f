-- The view `customer_orders` was removed, because no query read it. A view that the database names and no program fills would never pass a
-- position, and queries that wait for all views would wait for it for ever.
DELETE FROM views WHERE name = 'customer_orders';
DO $$
DECLARE
    left_over record;
BEGIN
    FOR left_over IN SELECT nspname FROM pg_namespace WHERE nspname ~ '^customer_orders_v[0-9]+$' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', left_over.nspname);
        EXECUTE format('DELETE FROM parked_events WHERE consumer = %L', left_over.nspname);
        EXECUTE format('DELETE FROM consumer_checkpoints WHERE consumer = %L', left_over.nspname);
    END LOOP;
END
$$;
