-- The kill of a login session is needed as long as something of that session may live.
ALTER TABLE kills ADD COLUMN ends_at BIGINT;
CREATE INDEX kills_ends_at ON kills (ends_at) WHERE ends_at IS NOT NULL;
