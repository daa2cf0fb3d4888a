DROP TABLE audit;
ALTER TABLE feed DROP COLUMN audit_number;
ALTER TABLE feed DROP COLUMN audit_hash;
ALTER TABLE feed DROP COLUMN audit_purged_number;
ALTER TABLE feed DROP COLUMN audit_purged_hash;
