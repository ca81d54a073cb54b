-- A table: every row of the files, with its file's path and its number in that file, from 0.
-- Replace: `log` (the table's name), `paths` (a list of files).
CREATE OR REPLACE TEMPORARY VIEW log AS
SELECT *, file_row_number AS _row
FROM read_parquet(paths, filename = '_path', union_by_name = true, hive_partitioning = false)
