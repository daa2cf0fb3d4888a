-- What was done, and what was tried in vain. It outlives the rows of the feed, and is chained in itself.
CREATE TABLE audit (
    number      INTEGER PRIMARY KEY,
    recorded_at BIGINT NOT NULL,
    actor       TEXT   NOT NULL,
    place       TEXT,
    action      TEXT   NOT NULL,
    target      TEXT   NOT NULL,
    detail      TEXT,
    outcome     TEXT   NOT NULL,
    reason      TEXT,
    change      BIGINT,
    hash        BLOB   NOT NULL CHECK (length(hash) = 32)
);
-- Whoever looks into a leak has a grant id.
CREATE INDEX audit_target ON audit (target, number);

-- Where the audit ends, so that taking away its last rows shows; and the last row that retention has taken away.
ALTER TABLE feed ADD COLUMN audit_number BIGINT NOT NULL DEFAULT 0;
ALTER TABLE feed ADD COLUMN audit_hash BLOB NOT NULL
    DEFAULT X'0000000000000000000000000000000000000000000000000000000000000000' CHECK (length(audit_hash) = 32);
ALTER TABLE feed ADD COLUMN audit_purged_number BIGINT NOT NULL DEFAULT 0;
ALTER TABLE feed ADD COLUMN audit_purged_hash BLOB NOT NULL
    DEFAULT X'0000000000000000000000000000000000000000000000000000000000000000' CHECK (length(audit_purged_hash) = 32);

-- Against mistakes. Against whoever may drop a trigger there is the chain.
CREATE TRIGGER audit_is_not_altered BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
CREATE TRIGGER audit_rows_stay BEFORE DELETE ON audit
WHEN OLD.number > (SELECT audit_purged_number FROM feed)
BEGIN
    SELECT RAISE(ABORT, 'the audit is append-only');
END;
