-- The rows that repeat an earlier one of their day. Replace: `same` (the identifying columns agree),
-- `condition` (rows to keep); partition by the day and what repeated rows agree in; order by the time.
CREATE OR REPLACE TEMPORARY TABLE repeated AS
SELECT _path, _row
FROM (
    SELECT
        log._path, log._row,
        ROW_NUMBER() OVER (PARTITION BY "day", "columns" ORDER BY sources._file, log._row) AS turn
    FROM log
    JOIN suspects ON same
    JOIN sources ON sources._path = log._path
    WHERE condition
) AS turns
WHERE turn > 1
