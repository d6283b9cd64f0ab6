-- The processes that read the log or write into it, and the version of the list of erasures which each of them leaves out of all
-- that it writes: an erasure waits until those that give a sign of life have its own. consumes is 1 where a process erases too.
CREATE TABLE erasure_readers (
    id       TEXT   PRIMARY KEY,
    consumes BIGINT NOT NULL,
    version  BIGINT NOT NULL,
    seen_ms  BIGINT NOT NULL
);
