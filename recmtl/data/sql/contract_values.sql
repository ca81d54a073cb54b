-- Values of a column by their hashes, those that `share` divides, and how many rows have each.
-- Replace: `files` (a list), `value`, `share`.
SELECT hash(value) AS "value", count(*) AS "rows"
FROM read_parquet(files, hive_partitioning = false)
WHERE value IS NOT NULL AND hash(value) % share = 0
GROUP BY hash(value)
