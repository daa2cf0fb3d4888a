-- Which grant records a replica reads: newer ones are written once all do. Older replicas do not say, and read two.
ALTER TABLE replicas ADD COLUMN record_version BIGINT NOT NULL DEFAULT 2;
