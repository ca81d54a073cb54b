-- The same of sign(x)·log(1 + |x|).
SELECT favg(y) AS mean, stddev_pop(y) AS deviation, count(y) AS known, min(y) AS least, max(y) AS most
FROM (
    SELECT sign(x) * ln(1 + abs(x)) AS y
    FROM (SELECT CAST(column_ AS DOUBLE) AS x FROM train)
    WHERE isfinite(x)
) AS logs
