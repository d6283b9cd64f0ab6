-- Requests to erase data, and how far each is. request, ends and report are JSON; revision counts the changes of a row, so
-- that of two processes that work at one erasure one is refused. listed is 1 while readers of the log have to leave out what
-- was erased.
CREATE TABLE erasures (
    id          TEXT   PRIMARY KEY,
    tenant      TEXT   NOT NULL,
    request     TEXT   NOT NULL,
    actor       TEXT   NOT NULL,
    created_ms  BIGINT NOT NULL,
    state       TEXT   NOT NULL,
    revision    BIGINT NOT NULL,
    topic       TEXT   NOT NULL,
    generation  TEXT   NOT NULL,
    ends        TEXT   NOT NULL,
    noted_ms    BIGINT NOT NULL,
    progress    TEXT   NOT NULL,
    report      TEXT   NOT NULL,
    families    TEXT   NOT NULL,
    failure     TEXT   NOT NULL,
    finished_ms BIGINT NOT NULL,
    listed      BIGINT NOT NULL
);

-- The series of erasures, by their keys, in chunks; kind 0 is all of them, 1 those of which nothing is left.
CREATE TABLE erasure_keys (
    erasure TEXT   NOT NULL,
    kind    BIGINT NOT NULL,
    chunk   BIGINT NOT NULL,
    data    BYTEA  NOT NULL,
    PRIMARY KEY (erasure, kind, chunk)
);
