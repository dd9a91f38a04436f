-- The keys that messages are signed with. A reader of this table can sign, so only relay, projectors and reactors may read it.
-- The relay signs with the newest key; consumers take the signature of any. A key has 244 random bits.
-- oldest: 202611281500
CREATE TABLE wire_keys (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key     bytea NOT NULL CHECK (octet_length(key) >= 32),
    made_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO wire_keys (key) VALUES (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
