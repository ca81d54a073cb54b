-- Rows of a day to look at: the first `size` of every `step` rows of each file, so that the same files
-- give the same rows and most row groups are not read. Replace: `files` (a list), `step`,
-- `size`, `dated` (whether folders give the day); add columns.
SELECT 1
FROM read_parquet(files, file_row_number = true, hive_partitioning = dated)
WHERE file_row_number % step < size
