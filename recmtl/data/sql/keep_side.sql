-- A side table's columns that are joined, read once for all pieces of the input.
-- Replace: `kept` (the table to make), `side`; add the columns.
CREATE OR REPLACE TEMPORARY TABLE kept AS SELECT _path, _row FROM side
