-- Columns without a value in any row, by the files' statistics. Replace: `files` (a glob).
SELECT split_part(path_in_schema, ', ', 1) AS "column"
FROM parquet_metadata(files)
GROUP BY ALL
HAVING sum(num_values) = sum(stats_null_count)
