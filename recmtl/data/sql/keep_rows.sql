-- Those rows of a side table or of a source of events that its `where` keeps.
-- Replace: `kept` (the view to make), `every_row` (the view of all rows), `condition`.
CREATE OR REPLACE TEMPORARY VIEW kept AS SELECT * FROM every_row WHERE condition
