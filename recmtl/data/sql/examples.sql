-- Examples: a row an impression, with the columns of its side tables, its labels and its day.
-- Replace: `condition` (rows to keep), `day`; add the columns and a LEFT JOIN a side table.
CREATE OR REPLACE TEMPORARY VIEW examples AS
SELECT sources._file, log._row, day AS _day
FROM log
JOIN sources ON sources._path = log._path
WHERE condition
