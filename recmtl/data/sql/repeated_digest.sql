-- How many rows of each day repeat an earlier one, and a number that changes with which ones these are.
SELECT CAST(_day AS VARCHAR) AS _day, count(*) AS "rows", sum(CAST(hash(_file, _row) AS HUGEINT)) AS "values"
FROM repeated
GROUP BY _day
