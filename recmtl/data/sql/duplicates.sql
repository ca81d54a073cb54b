-- Keys that a side table has more than once, where they are whole. Replace: `side`, `whole` (no part of
-- the key is null); put the key's columns for `key`.
SELECT count(*) AS "rows", key
FROM side
WHERE whole
GROUP BY ALL
HAVING count(*) > 1
ORDER BY ALL DESC
