ALTER TABLE replicas DROP COLUMN record_version;
