-- Mean and population standard deviation of the finite values on train.
SELECT avg(x) AS mean, stddev_pop(x) AS deviation, count(x) AS known
FROM (SELECT CAST(column_ AS DOUBLE) AS x FROM train)
WHERE isfinite(x)
