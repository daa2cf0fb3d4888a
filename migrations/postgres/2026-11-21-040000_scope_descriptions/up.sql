-- What scopes mean, in words: a JSON object.
ALTER TABLE resource_servers ADD COLUMN scope_descriptions TEXT NOT NULL DEFAULT '{}';
