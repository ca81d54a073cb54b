-- How many events a source has on each day, how many of them lack an id, a key or a time, and how many come
-- later than `as_of`, and than now. Replace: `source`, `day`, `whole` (nothing is lacking), `moment`, `as_of`, `now`.
SELECT
    CAST(day AS VARCHAR) AS _day,
    count(*) AS "rows",
    count(CASE WHEN NOT whole THEN 1 END) AS nulls,
    count(CASE WHEN whole AND moment > as_of THEN 1 END) AS after_as_of,
    count(CASE WHEN whole AND moment > now THEN 1 END) AS ahead
FROM source
GROUP BY ALL
