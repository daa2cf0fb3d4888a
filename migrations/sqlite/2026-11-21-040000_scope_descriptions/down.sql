ALTER TABLE resource_servers DROP COLUMN scope_descriptions;
