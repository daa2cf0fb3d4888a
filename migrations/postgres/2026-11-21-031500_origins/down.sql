ALTER TABLE clients DROP COLUMN origins;
