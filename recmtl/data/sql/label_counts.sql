-- Rows of a part; positives and nulls of a label. Replace: `label`, `part`.
SELECT count(*) AS "rows", count(*) FILTER (WHERE label > 0) AS positives, count(*) - count(label) AS nulls
FROM part
