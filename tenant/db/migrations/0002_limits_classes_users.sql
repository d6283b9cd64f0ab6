-- limits are JSON objects of some limits by their names, empty for none; retention_class is one of retention.classes, 0
-- for what the configuration says, and class_history a JSON list of it and those before, the newest first, empty where it never
-- was set.
ALTER TABLE tenants ADD COLUMN limits TEXT NOT NULL DEFAULT '';
ALTER TABLE tenants ADD COLUMN retention_class BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tenants ADD COLUMN class_history TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN limits TEXT NOT NULL DEFAULT '';

-- What is set for the whole service in place of its configuration, as JSON by name.
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- password is a bcrypt hash; tenants is a list with commas.
CREATE TABLE users (
    name        TEXT   PRIMARY KEY,
    password    TEXT   NOT NULL,
    tenant      TEXT   NOT NULL REFERENCES tenants (id),
    tenants     TEXT   NOT NULL,
    role        TEXT   NOT NULL,
    description TEXT   NOT NULL,
    created_ms  BIGINT NOT NULL,
    disabled_ms BIGINT NOT NULL
);
