-- The seat: which process decides. It is for speed only: the checks of every commit keep the book right, whoever decides.
--
-- The holder has an advisory lock on a connection of its own, so the seat is free when its process ends. A process that is
-- suspended keeps its connection. So the holder renews its row every second, and others end the connection of one that has
-- not done so for seconds.
-- oldest: 202611280200
CREATE TABLE seat (
    role       text PRIMARY KEY,
    -- How often the seat was taken.
    epoch      bigint NOT NULL,
    -- The process that holds it; null after it was given up.
    holder     uuid,
    -- Where the holder takes commands of other processes.
    address    text,
    -- What they have to show there. Only who may read this table knows it.
    secret     text,
    since      timestamptz NOT NULL,
    renewed_at timestamptz NOT NULL
);
