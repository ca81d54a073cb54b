-- Which days the kept rows fall on, and which file holds how many of them.
-- Replace: `day`, `condition` (rows to keep).
SELECT _day, _path, count(*) AS "rows"
FROM (SELECT day AS _day, _path FROM log WHERE condition) AS kept
GROUP BY _day, _path
ORDER BY _day, _path
