-- Rows whose id stands on an earlier day, too, by their day. Replace: `day`, `id` (a hash), `share` (of the
-- hashes one in so many), `condition` (rows to keep).
SELECT CAST(every._day AS VARCHAR) AS _day, count(*) AS "rows"
FROM (SELECT day AS _day, id AS _id FROM log WHERE condition AND id % share = 0) AS every
JOIN (
    SELECT id AS _id, min(day) AS _first
    FROM log
    WHERE condition AND id % share = 0
    GROUP BY id
    HAVING min(day) < max(day)
) AS several ON several._id = every._id
WHERE every._day > several._first
GROUP BY every._day
