-- For how long a key was asked for, 0 for ever: one that takes its place is good as long, whatever has ended this one sooner.
ALTER TABLE api_keys ADD COLUMN lifetime_ms BIGINT NOT NULL DEFAULT 0;
UPDATE api_keys SET lifetime_ms = expires_ms - created_ms WHERE expires_ms > 0;
