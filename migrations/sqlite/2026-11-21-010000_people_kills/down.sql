DROP INDEX kills_ends_at;
ALTER TABLE kills DROP COLUMN ends_at;
