-- The collation by which names are sorted, the same with every PostgreSQL: ICU, root locale, numbers by value (docs/text.md).
-- oldest: 202611281500
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i') THEN
        RAISE EXCEPTION 'Daybook sorts names by ICU, and this database has no ICU collations'
            USING HINT = 'Use a PostgreSQL that is built with ICU, and a database with the encoding UTF8.';
    END IF;
    CREATE COLLATION IF NOT EXISTS read.text_order (provider = icu, locale = 'und-u-kn-true');
END
$$;
