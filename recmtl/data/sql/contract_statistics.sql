-- What Parquet's own statistics say of each column that is no list. Their bounds are texts, of numbers, too,
-- which are compared as numbers here. Replace: `files` (a list).
SELECT
    path_in_schema AS "column", sum(num_values) AS "rows", sum(stats_null_count) AS "nulls",
    COALESCE(arg_min(stats_min_value, least), min(stats_min_value)) AS least,
    COALESCE(arg_max(stats_max_value, most), max(stats_max_value)) AS most,
    count(CASE WHEN num_values > stats_null_count THEN 1 END) AS chunks, count(stats_min_value) AS bounded
FROM (
    SELECT
        *,
        CASE WHEN type <> 'BYTE_ARRAY' THEN TRY_CAST(stats_min_value AS DOUBLE) END AS least,
        CASE WHEN type <> 'BYTE_ARRAY' THEN TRY_CAST(stats_max_value AS DOUBLE) END AS most
    FROM parquet_metadata(files)
    WHERE path_in_schema NOT LIKE '%, %'
) AS told
GROUP BY path_in_schema
