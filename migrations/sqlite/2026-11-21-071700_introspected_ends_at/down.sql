DROP INDEX introspected_ends_at;
