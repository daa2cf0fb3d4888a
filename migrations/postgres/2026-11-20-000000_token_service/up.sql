-- The change feed. One row: its lock, held to the commit, puts the changes in commit order.
CREATE TABLE feed (
    id               INTEGER PRIMARY KEY CHECK (id = 1),
    feed_id          BYTEA  NOT NULL CHECK (octet_length(feed_id) = 16),
    number           BIGINT NOT NULL,
    hash             BYTEA  NOT NULL CHECK (octet_length(hash) = 32),
    purged_number    BIGINT NOT NULL,
    recovered_number BIGINT NOT NULL,
    longest_lifetime BIGINT NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);
INSERT INTO feed (id, feed_id, number, hash, purged_number, recovered_number, longest_lifetime)
VALUES (1, uuid_send(gen_random_uuid()), 0, decode(repeat('00', 32), 'hex'), 0, 0, 0);

CREATE TABLE changes (
    number      BIGINT PRIMARY KEY,
    kind        TEXT   NOT NULL,
    target      TEXT   NOT NULL,
    ends_at     BIGINT,
    recorded_at BIGINT NOT NULL,
    actor       TEXT   NOT NULL,
    reason      TEXT,
    hash        BYTEA  NOT NULL CHECK (octet_length(hash) = 32)
);
-- A grant is revoked once; asking again finds the row that is there.
CREATE UNIQUE INDEX changes_revoked_grant ON changes (target) WHERE kind = 'revoke-grant';
-- Retention finds what is old, and loading what is still needed, without reading the rest:
-- revocations are most of it.
CREATE INDEX changes_recorded_at ON changes (recorded_at, number);
CREATE INDEX changes_ends_at ON changes (ends_at) WHERE ends_at IS NOT NULL;
CREATE INDEX changes_but_revocations ON changes (number) WHERE kind <> 'revoke-grant';

-- The newest kill of each set of grants. Numbers only grow, and outlive what they name.
CREATE TABLE kills (
    scope  TEXT   NOT NULL,
    target TEXT   NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (scope, target)
);

-- Leases. fillfactor leaves room for the beat, which is written every second.
CREATE TABLE replicas (
    incarnation TEXT   PRIMARY KEY,
    name        TEXT   NOT NULL,
    applied     BIGINT NOT NULL,
    beat        BIGINT NOT NULL,
    lease_ms    BIGINT NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE token_keys (
    fingerprint  TEXT   PRIMARY KEY,
    last_used_at BIGINT NOT NULL
);

CREATE TABLE clients (
    id                         TEXT    PRIMARY KEY,
    name                       TEXT    NOT NULL UNIQUE,
    public                     BOOLEAN NOT NULL,
    grant_types                TEXT    NOT NULL,
    scope                      TEXT    NOT NULL,
    access_token_ttl           BIGINT,
    enabled                    BOOLEAN NOT NULL,
    secret_digest              BYTEA,
    previous_secret_digest     BYTEA,
    previous_secret_expires_at BIGINT,
    created_at                 BIGINT  NOT NULL
);

CREATE TABLE resource_servers (
    id                         TEXT    PRIMARY KEY,
    name                       TEXT    NOT NULL UNIQUE,
    identifier                 TEXT    NOT NULL UNIQUE,
    scope                      TEXT    NOT NULL,
    may_revoke                 BOOLEAN NOT NULL,
    enabled                    BOOLEAN NOT NULL,
    secret_digest              BYTEA   NOT NULL,
    previous_secret_digest     BYTEA,
    previous_secret_expires_at BIGINT,
    created_at                 BIGINT  NOT NULL
);
