-- Where grants were last introspected with success, written in batches. No index but the key: rows are updated all the
-- time, and looked for by grant.
CREATE TABLE introspected (
    grant_id           TEXT   PRIMARY KEY,
    resource_server_id TEXT   NOT NULL,
    at                 BIGINT NOT NULL,
    ends_at            BIGINT NOT NULL
) WITH (fillfactor = 80);
