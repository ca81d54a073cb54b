-- The rows that repeat an earlier one. Replace: `same` (the identifying columns agree), `condition` (rows to
-- keep), `day`; partition by what repeated rows agree in; order by day and time, too.
CREATE OR REPLACE TEMPORARY TABLE repeated AS
SELECT _path, _file, _row, _day
FROM (
    SELECT
        log._path, sources._file, log._row, day AS _day,
        ROW_NUMBER() OVER (PARTITION BY "columns" ORDER BY sources._file, log._row) AS turn
    FROM log
    JOIN suspects ON same
    JOIN sources ON sources._path = log._path
    WHERE condition
) AS turns
WHERE turn > 1
