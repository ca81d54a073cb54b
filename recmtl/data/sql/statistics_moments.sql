-- Mean, population standard deviation, number and ends of the finite values on train. Threads add up in any order:
-- favg takes with it what a sum of floats loses, so that its result is the same in all digits that are kept.
SELECT favg(x) AS mean, stddev_pop(x) AS deviation, count(x) AS known, min(x) AS least, max(x) AS most
FROM (SELECT CAST(column_ AS DOUBLE) AS x FROM train)
WHERE isfinite(x)
