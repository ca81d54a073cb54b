-- What each file has of which day: how many kept rows, the first and the last of them, and their times.
-- Replace: `day`, `moment` (null where there is no time), `condition` (rows to keep).
SELECT
    _day, _path, count(*) AS "rows", min(_row) AS first_row, max(_row) AS last_row,
    min(_at) AS first, max(_at) AS last
FROM (SELECT day AS _day, moment AS _at, _path, _row FROM log WHERE condition) AS kept
GROUP BY _day, _path
ORDER BY _day, _path
