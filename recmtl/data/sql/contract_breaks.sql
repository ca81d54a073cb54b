-- Rows where a later step of a funnel is 1, and those of them where the earlier one is 0.
-- Replace: `files`, `earlier`, `later`.
SELECT
    count(*) FILTER (WHERE later > 0) AS positives,
    count(*) FILTER (WHERE later > 0 AND earlier = 0) AS breaks
FROM read_parquet(files, hive_partitioning = false)
