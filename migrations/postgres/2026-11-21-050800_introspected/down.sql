DROP TABLE introspected;
