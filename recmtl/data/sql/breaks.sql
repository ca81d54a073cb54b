-- Rows that break a product: the later label is 1 where the earlier one is 0.
-- Replace: `earlier`, `later`, `part`.
SELECT count(*) AS "rows" FROM part WHERE later = 1 AND earlier = 0
