-- The workspace at a session's /workspace, where it has one that outlives it.
ALTER TABLE sessions ADD COLUMN workspace_id TEXT;
