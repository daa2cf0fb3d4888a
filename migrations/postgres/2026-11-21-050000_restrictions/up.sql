-- What live grants were restricted to, short of being revoked: the strictest of all edits of each.
-- A row is needed until the grant's own end.
CREATE TABLE restrictions (
    grant_id     TEXT   PRIMARY KEY,
    scope        TEXT,
    ends_at      BIGINT,
    frozen_at    BIGINT,
    thawed_at    BIGINT,
    needed_until BIGINT NOT NULL,
    number       BIGINT NOT NULL
);
CREATE INDEX restrictions_needed_until ON restrictions (needed_until);
