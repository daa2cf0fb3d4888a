-- Whose pages may read what a client is answered: space-separated.
ALTER TABLE clients ADD COLUMN origins TEXT NOT NULL DEFAULT '';
