-- The log of commands is part of the book: without a row, a repeated command would be carried out twice.
-- oldest: 202611281500
CREATE TRIGGER commands_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON commands
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
