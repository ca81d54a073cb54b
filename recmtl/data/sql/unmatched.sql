-- Impressions without a row in a side table. Replace: `side`, `condition` (rows to keep), `matches`,
-- `found` (a column of the side table that is never null).
SELECT count(*) AS "rows" FROM log LEFT JOIN side ON matches WHERE condition AND found IS NULL
