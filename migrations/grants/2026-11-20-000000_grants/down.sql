DROP TABLE witness;
DROP TABLE grants;
