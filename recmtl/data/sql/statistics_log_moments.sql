-- The same of sign(x)·log(1 + |x|).
SELECT favg(sign(x) * ln(1 + abs(x))) AS mean, stddev_pop(sign(x) * ln(1 + abs(x))) AS deviation, count(x) AS known
FROM (SELECT CAST(column_ AS DOUBLE) AS x FROM train)
WHERE isfinite(x)
