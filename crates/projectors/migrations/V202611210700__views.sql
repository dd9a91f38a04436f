-- Which version of each read model is the one that is shown. Each version has tables of its own, in the schema
-- `<name>_v<version>`; `read` holds a plain view on each table of the version that is shown.
CREATE TABLE views (
    name    text PRIMARY KEY,
    version integer NOT NULL
);
CREATE SCHEMA read;
