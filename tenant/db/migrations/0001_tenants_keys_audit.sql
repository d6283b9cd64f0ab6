-- What both PostgreSQL and SQLite take: TEXT and BIGINT only, times in Unix milliseconds with 0 for "never".

-- One row. Each change adds one to the version, and so waits for the change before it.
CREATE TABLE state (
    id      BIGINT PRIMARY KEY,
    version BIGINT NOT NULL
);
INSERT INTO state (id, version) VALUES (1, 0);

CREATE TABLE tenants (
    id          TEXT   PRIMARY KEY,
    description TEXT   NOT NULL,
    created_ms  BIGINT NOT NULL,
    disabled_ms BIGINT NOT NULL
);
INSERT INTO tenants (id, description, created_ms, disabled_ms) VALUES ('anonymous', 'what is written and read without a tenant', 0, 0);

-- hash is the SHA-256 of the whole key in hexadecimal digits; scopes and tenants are lists with commas.
CREATE TABLE api_keys (
    id           TEXT   PRIMARY KEY,
    hash         TEXT   NOT NULL,
    tenant       TEXT   NOT NULL REFERENCES tenants (id),
    description  TEXT   NOT NULL,
    scopes       TEXT   NOT NULL,
    tenants      TEXT   NOT NULL,
    selector     TEXT   NOT NULL,
    created_ms   BIGINT NOT NULL,
    expires_ms   BIGINT NOT NULL,
    revoked_ms   BIGINT NOT NULL,
    last_used_ms BIGINT NOT NULL
);

-- The row of a change has the version that the change made. before and after are JSON, empty for nothing.
CREATE TABLE audit_log (
    version      BIGINT PRIMARY KEY,
    time_ms      BIGINT NOT NULL,
    actor        TEXT   NOT NULL,
    action       TEXT   NOT NULL,
    tenant       TEXT   NOT NULL,
    object       TEXT   NOT NULL,
    before_value TEXT   NOT NULL,
    after_value  TEXT   NOT NULL
);
CREATE INDEX audit_log_tenant ON audit_log (tenant, version);
