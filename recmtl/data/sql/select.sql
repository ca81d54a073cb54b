-- The rows of a part in the order day, file, row (files are read in the order given).
-- Replace: `files` (a list), `part_of_row` (see split.sql), `part`.
SELECT 1
FROM read_parquet(files, hive_partitioning = dated)
WHERE part_of_row = part
