-- Values and nulls of each column, by the files' statistics. Replace: `files` (a list).
SELECT split_part(path_in_schema, ', ', 1) AS "column", sum(num_values) AS "values", sum(stats_null_count) AS nulls
FROM parquet_metadata(files)
GROUP BY ALL
