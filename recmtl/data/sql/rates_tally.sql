-- What is known of a key from which day on; a row without a key counts for none.
-- Replace: `known` (see rates_known.sql), `keyed`, `files`; add the keys and the numbers of each measure.
CREATE OR REPLACE TEMPORARY TABLE tally AS
SELECT known AS _known
FROM read_parquet(files, hive_partitioning = true) AS examples
WHERE keyed
GROUP BY ALL
