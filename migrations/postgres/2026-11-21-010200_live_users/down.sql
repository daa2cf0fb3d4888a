ALTER TABLE resource_servers DROP COLUMN include_roles;
ALTER TABLE resource_servers DROP COLUMN scopes_needing_permission;
