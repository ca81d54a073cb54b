-- Mean and population standard deviation of the finite values on train. Threads add up in any order: favg takes
-- with it what a sum of floats loses, so that its result is the same in ten digits, which are kept.
SELECT favg(x) AS mean, stddev_pop(x) AS deviation, count(x) AS known
FROM (SELECT CAST(column_ AS DOUBLE) AS x FROM train)
WHERE isfinite(x)
