-- How many rows of a day have the same outcomes, and whether an earlier step holds there.
-- Replace: `day`, `condition` (rows to keep); add the earlier steps and the columns of 0 and 1.
SELECT CAST(day AS VARCHAR) AS _day, count(*) AS "rows"
FROM log
WHERE condition
GROUP BY ALL
