-- How many events of each day are equal to another one in all that is read of them. Replace: `day`, `whole`
-- (a hash of all columns).
SELECT CAST(_day AS VARCHAR) AS _day, CAST(sum(_rows - 1) AS BIGINT) AS equal
FROM (SELECT day AS _day, whole AS _whole, count(*) AS _rows FROM events GROUP BY ALL HAVING count(*) > 1) AS several
GROUP BY _day
