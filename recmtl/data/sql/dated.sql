-- The rows of files, each with the day of the folder that its file lies in, null where that names none.
-- Folders further up may be called user=7 or dt=2030-01-01, too: they say nothing.
-- Replace: `files` (a list).
SELECT * EXCLUDE (_path), CAST(NULLIF(regexp_extract(_path, '/dt=([^/]*)/[^/]*$', 1), '') AS DATE) AS dt
FROM read_parquet(files, filename = '_path', hive_partitioning = false)
