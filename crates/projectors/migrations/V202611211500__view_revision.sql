-- In which revision of the view its shown version was built. A program that knows a later one builds the view anew; so it does once
-- where nobody has noted it.
ALTER TABLE views ADD COLUMN revision integer NOT NULL DEFAULT 0;
