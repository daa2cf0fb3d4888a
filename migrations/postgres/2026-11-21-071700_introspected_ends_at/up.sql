-- What has ended is looked for every few minutes and must not cost a look at everything. The end of a grant never
-- changes, so the rows are updated as cheaply as before.
CREATE INDEX introspected_ends_at ON introspected (ends_at);
