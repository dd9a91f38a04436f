-- Which programs the schema serves: `daybook serve` starts when the schema has what it needs and `oldest_program` is not above its own
-- number. Only `daybook migrate` writes it.
-- oldest: 202611281500
CREATE TABLE schema_state (
    one            boolean PRIMARY KEY DEFAULT true CHECK (one),
    version        bigint NOT NULL,
    oldest_program bigint NOT NULL
);
INSERT INTO schema_state (version, oldest_program) VALUES (0, 0);
