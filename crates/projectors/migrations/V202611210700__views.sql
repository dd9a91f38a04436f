-- Which version of each read model is the one that is shown. Each version has tables of its own, in the schema
-- `<name>_v<version>`; `read` holds a plain view on each table of the version that is shown.
CREATE TABLE views (
    name    text PRIMARY KEY,
    version integer NOT NULL
);
CREATE SCHEMA read;

-- How far the views are: everything up to `position` is shown. A query that wants to read its writes waits for it here.
CREATE VIEW read.view_status AS
    SELECT v.name, v.version, consumer_position(v.name || '_v' || v.version) AS position,
           (SELECT h.position FROM head h) AS head,
           (SELECT count(*) FROM parked_events p WHERE p.consumer = v.name || '_v' || v.version) AS parked
    FROM views v;
