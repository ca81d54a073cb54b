-- A side table's history, read once: each row with the time from which it holds and the time at which
-- the key's next row takes over. Replace: `kept` (the table to make), `side`, `valid_from`; partition
-- by the key's columns; add the columns.
CREATE OR REPLACE TEMPORARY TABLE kept AS
SELECT
    _path, _row, valid_from AS _from,
    LEAD(valid_from, 1, TIMESTAMP '9999-12-31 00:00:00') OVER (PARTITION BY key ORDER BY valid_from) AS _until
FROM side
