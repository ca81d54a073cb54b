-- Rows of a day that agree with another one in what identifies them, and those that agree in all.
-- Replace: `day`, `id` and `whole` (hashes of columns), `share` (of the hashes of ids, one in so many),
-- `condition` (rows to keep).
SELECT _day, count(*) - count(DISTINCT _id) AS repeated, count(*) - count(DISTINCT _whole) AS equal
FROM (
    SELECT CAST(day AS VARCHAR) AS _day, id AS _id, whole AS _whole
    FROM log
    WHERE condition AND id % share = 0 AND id IN (
        SELECT id FROM log WHERE condition AND id % share = 0 GROUP BY id HAVING count(*) > 1
    )
) AS suspects
GROUP BY _day
