-- What a client calls its session and writes on it (a JSON object of strings), and why it ended.
ALTER TABLE sessions ADD COLUMN name TEXT;
ALTER TABLE sessions ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE sessions ADD COLUMN reason TEXT;

-- Listings go by age.
CREATE INDEX sessions_by_age ON sessions (created_at, id);

-- Answers that are given again to whoever repeats a request with the same Idempotency-Key. A row is written in the
-- transaction that makes what the answer is about.
CREATE TABLE idempotency_keys (
    route TEXT NOT NULL,
    key TEXT NOT NULL,
    -- SHA-256 of what was asked for.
    fingerprint BLOB NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (route, key)
) STRICT;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
