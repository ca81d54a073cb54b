-- The columns of a file and their types, those that its folders give aside. Replace: `paths` (a list).
DESCRIBE SELECT * FROM read_parquet(paths, hive_partitioning = false)
