ALTER TABLE resource_servers ADD COLUMN scopes_needing_permission TEXT NOT NULL DEFAULT '';
ALTER TABLE resource_servers ADD COLUMN include_roles BOOLEAN NOT NULL DEFAULT FALSE;
