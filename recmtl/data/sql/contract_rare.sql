-- Rows of the classes of a label that a sample has too few of. Replace: `files` (a list), `label`, `given` (1
-- where the label counts), `positive` and `negative` (whether rows of that class are wanted), `step` (of
-- rows one in so many, by their place in a file), `dated` (whether folders give the day); put columns for the count.
SELECT count(*) AS "rows"
FROM read_parquet(files, file_row_number = true, hive_partitioning = dated)
WHERE given = 1 AND CASE WHEN label > 0 THEN positive ELSE negative END AND label IS NOT NULL
    AND file_row_number % step = 0
