-- The files of the log and their numbers, which give the order in which rows are kept.
-- Replace: `numbers`, `paths` (a list of files).
CREATE OR REPLACE TEMPORARY TABLE sources AS
SELECT CAST(UNNEST(numbers) AS INTEGER) AS _file, UNNEST(paths) AS _path
