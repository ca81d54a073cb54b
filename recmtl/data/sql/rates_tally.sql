-- What is known of a key from which day on; a row without a key counts for none.
-- Replace: `known` (see rates_known.sql), `keyed`, `rows_of_days` (see dated.sql, called `examples`); add the
-- keys and the numbers of each measure.
CREATE OR REPLACE TEMPORARY TABLE tally AS
SELECT known AS _known
FROM rows_of_days
WHERE keyed
GROUP BY ALL
