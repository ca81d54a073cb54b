-- How many rows Parquet files have, by their own account. Replace: `paths` (a list of files).
SELECT file_name, num_rows FROM parquet_file_metadata(paths)
