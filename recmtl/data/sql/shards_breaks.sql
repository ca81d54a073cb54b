-- Rows that break a product, the later label 1 where the earlier one is 0, and the first of them.
-- Replace: `earlier`, `later`, `part`.
SELECT count(*) AS "rows", min((_file, _row)) AS "first"
FROM part
WHERE later = 1 AND earlier = 0
