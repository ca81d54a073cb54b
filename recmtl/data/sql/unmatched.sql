-- Impressions without a row in a side table. Replace: `side`, `condition` (rows to keep), `matches`.
SELECT count(*) AS "rows" FROM log WHERE condition AND NOT EXISTS (SELECT 1 FROM side WHERE matches)
