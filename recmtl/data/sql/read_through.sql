-- Read every value of a file, to find out whether it can be. Replace: `paths` (a list of files).
SELECT max(hash(COLUMNS(*))) FROM read_parquet(paths, hive_partitioning = false)
