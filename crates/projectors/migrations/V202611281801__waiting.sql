-- As before, but events that wait for a newer program are not parked.
-- oldest: 202611281500
CREATE OR REPLACE VIEW read.view_status AS
    SELECT v.name, v.version, consumer_position(v.name || '_v' || v.version) AS position,
           (SELECT h.position FROM head h) AS head,
           (SELECT count(*) FROM parked_events p WHERE p.consumer = v.name || '_v' || v.version AND NOT p.waiting) AS parked
    FROM views v;
