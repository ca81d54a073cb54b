-- Impressions as causes of events. Replace: `moment`, `day`, `condition` (rows to keep); add the keys.
CREATE OR REPLACE TEMPORARY VIEW causes AS
SELECT
    moment AS _at, sources._file, log._row,
    sources._file AS _of_file, log._row AS _of_row, day AS _day
FROM log
JOIN sources ON sources._path = log._path
WHERE condition
