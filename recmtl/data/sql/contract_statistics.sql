-- What Parquet's own statistics say of each column that is no list. Replace: `files` (a list).
SELECT
    path_in_schema AS "column", sum(num_values) AS "rows", sum(stats_null_count) AS "nulls",
    min(stats_min_value) AS least, max(stats_max_value) AS most, count(*) AS chunks,
    count(stats_min_value) AS bounded
FROM parquet_metadata(files)
WHERE path_in_schema NOT LIKE '%, %'
GROUP BY path_in_schema
