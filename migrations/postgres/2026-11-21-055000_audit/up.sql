-- What was done, and what was tried in vain. It outlives the rows of the feed, and is chained in itself.
CREATE TABLE audit (
    number      BIGINT PRIMARY KEY,
    recorded_at BIGINT NOT NULL,
    actor       TEXT   NOT NULL,
    place       TEXT,
    action      TEXT   NOT NULL,
    target      TEXT   NOT NULL,
    detail      TEXT,
    outcome     TEXT   NOT NULL,
    reason      TEXT,
    change      BIGINT,
    hash        BYTEA  NOT NULL CHECK (octet_length(hash) = 32)
);
-- Whoever looks into a leak has a grant id.
CREATE INDEX audit_target ON audit (target, number);

-- Where the audit ends, so that taking away its last rows shows; and the last row that retention has taken away.
ALTER TABLE feed
    ADD COLUMN audit_number BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN audit_hash BYTEA NOT NULL DEFAULT '\x0000000000000000000000000000000000000000000000000000000000000000' CHECK (octet_length(audit_hash) = 32),
    ADD COLUMN audit_purged_number BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN audit_purged_hash BYTEA NOT NULL DEFAULT '\x0000000000000000000000000000000000000000000000000000000000000000' CHECK (octet_length(audit_purged_hash) = 32);

-- Against mistakes. Against whoever may drop a trigger there is the chain.
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.number <= (SELECT audit_purged_number FROM feed) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit is append-only';
END
$$;
CREATE TRIGGER audit_rows_stay BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_stays BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
