-- The layers that a session stands on (a JSON array of names below `layers/`), so that they are not removed under it although
-- its image may have been replaced. Absent for sessions of older daemons.
ALTER TABLE sessions ADD COLUMN layers TEXT;
