-- One row a session, kept for a day after its end so that a late request can be told what became of it.
-- Times are milliseconds since the Unix epoch.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY NOT NULL,
    image TEXT NOT NULL,
    status TEXT NOT NULL,
    cwd TEXT NOT NULL,
    ttl_seconds INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_activity INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    uid_range INTEGER NOT NULL,
    runner_pid INTEGER NOT NULL,
    -- Field 22 of the runner's /proc stat: tells it from a later process with the same id.
    runner_started INTEGER NOT NULL,
    landlock_abi INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_by_status ON sessions (status);
