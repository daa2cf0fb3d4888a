DROP TABLE audit;
DROP FUNCTION audit_is_append_only;
ALTER TABLE feed
    DROP COLUMN audit_number,
    DROP COLUMN audit_hash,
    DROP COLUMN audit_purged_number,
    DROP COLUMN audit_purged_hash;
