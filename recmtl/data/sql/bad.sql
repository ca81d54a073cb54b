-- Rows whose value cannot be used: how many, an example, and a file that has one.
-- Replace: `log`, `checked` (the column), `condition` (rows to keep), `bad` (see conditions.sql).
SELECT count(*) AS "rows", min(CAST("value" AS VARCHAR)) AS example, min(_path) AS file
FROM (SELECT checked AS "value", _path FROM log WHERE condition) AS kept
WHERE bad
