-- How a session's sandbox came to be.
ALTER TABLE sessions ADD COLUMN acquire_source TEXT NOT NULL DEFAULT 'cold';

-- Sandboxes of the pool: they stand, and nobody has asked for them yet.
CREATE TABLE idle_sandboxes (
    id TEXT PRIMARY KEY NOT NULL,
    image TEXT NOT NULL,
    -- The content of the image, and the digest of everything else that decided how the sandbox was made: one that would be made in
    -- another way today is not handed out.
    image_digest TEXT NOT NULL,
    recipe TEXT NOT NULL,
    -- A JSON array of names, as for sessions.
    layers TEXT NOT NULL,
    uid_range INTEGER NOT NULL,
    runner_pid INTEGER NOT NULL,
    runner_started INTEGER NOT NULL,
    landlock_abi INTEGER NOT NULL
) STRICT;

-- A hand-out is one statement: a session out of the pool takes the row of its sandbox away, and is refused where there is none.
CREATE TRIGGER sandbox_is_handed_out AFTER INSERT ON sessions WHEN NEW.acquire_source = 'pool'
BEGIN
    SELECT RAISE(ABORT, 'the sandbox is not in the pool') WHERE NOT EXISTS (SELECT 1 FROM idle_sandboxes WHERE id = NEW.id);
    DELETE FROM idle_sandboxes WHERE id = NEW.id;
END;
