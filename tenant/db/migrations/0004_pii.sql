-- settings are JSON, what is done with a tenant's personal data in place of what the configuration says.
CREATE TABLE pii_policies (
    tenant   TEXT PRIMARY KEY,
    settings TEXT NOT NULL
);

-- One row, in hexadecimal digits: what the keys of hashes are made of, another one for each tenant.
CREATE TABLE pii_secret (
    id     BIGINT PRIMARY KEY,
    secret TEXT   NOT NULL
);

-- What was found where, without what it was. metric is empty where it is personal itself.
CREATE TABLE pii_findings (
    tenant   TEXT   NOT NULL,
    detector TEXT   NOT NULL,
    label    TEXT   NOT NULL,
    metric   TEXT   NOT NULL,
    action   TEXT   NOT NULL,
    series   BIGINT NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms  BIGINT NOT NULL,
    PRIMARY KEY (tenant, detector, label, metric, action)
);
