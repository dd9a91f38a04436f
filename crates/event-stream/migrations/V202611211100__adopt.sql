-- Whether the next leader is to make the topics anew: they hold the events of another history, which this book has left behind.
ALTER TABLE relay ADD adopt boolean NOT NULL DEFAULT false;
