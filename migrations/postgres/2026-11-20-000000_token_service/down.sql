DROP TABLE resource_servers;
DROP TABLE clients;
DROP TABLE token_keys;
DROP TABLE replicas;
DROP TABLE kills;
DROP TABLE changes;
DROP TABLE feed;
