ALTER TABLE clients DROP COLUMN refresh_retry_window;
ALTER TABLE clients DROP COLUMN redirect_uris;
