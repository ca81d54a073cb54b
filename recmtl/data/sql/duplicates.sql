-- Keys that a side table has more than once. Replace: `side`; put the key's columns for `key`.
SELECT key, count(*) AS "rows"
FROM side
WHERE key IS NOT NULL
GROUP BY ALL
HAVING count(*) > 1
ORDER BY ALL
