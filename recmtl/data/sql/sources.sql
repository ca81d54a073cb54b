-- The files of the log and their numbers, from 0, in the order in which rows are kept.
-- Replace: `paths` (a list of files).
CREATE OR REPLACE TEMPORARY TABLE sources AS
SELECT CAST(UNNEST(RANGE(len(paths))) AS INTEGER) AS _file, UNNEST(paths) AS _path
