-- The finite values on train in order: exact quantiles are read off as they stream by.
SELECT x
FROM (SELECT CAST(column_ AS DOUBLE) AS x FROM train)
WHERE isfinite(x)
ORDER BY x
