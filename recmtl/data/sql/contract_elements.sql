-- Elements of a column's lists by their hashes, those that `share` divides, and how often each is there.
-- Replace: `files` (a list), `value`, `share`.
SELECT hash(element) AS "value", count(*) AS "rows"
FROM (SELECT unnest(value) AS element FROM read_parquet(files, hive_partitioning = false)) AS elements
WHERE element IS NOT NULL AND hash(element) % share = 0
GROUP BY hash(element)
