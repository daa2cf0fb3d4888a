-- Where a client is sent answers to: space-separated, each matched byte by byte.
ALTER TABLE clients ADD COLUMN redirect_uris TEXT NOT NULL DEFAULT '';
-- Seconds in which the previous refresh token may be presented again; the default where it is missing.
ALTER TABLE clients ADD COLUMN refresh_retry_window BIGINT;
