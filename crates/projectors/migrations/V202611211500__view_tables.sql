-- The SQL that made the tables of the version that is shown. Where a program has other SQL for a view, it builds the view anew; so
-- it does once where nobody has noted it.
ALTER TABLE views ADD COLUMN ddl text NOT NULL DEFAULT '';
