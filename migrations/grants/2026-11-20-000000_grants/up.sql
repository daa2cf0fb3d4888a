-- The embedded grant store: a file of its own, so that minting does not wait for the durable
-- commits of the change feed.
CREATE TABLE grants (
    id         BLOB   PRIMARY KEY CHECK (length(id) = 12),
    record     BLOB   NOT NULL,
    expires_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX grants_expires_at ON grants (expires_at);

CREATE TABLE witness (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    position BLOB NOT NULL
);
