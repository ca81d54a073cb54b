-- Rows whose value cannot be used: how many, and of the first of them the value, the file and the row.
-- Replace: `log`, `checked` (the column), `condition` (rows to keep), `bad` (see conditions.sql).
SELECT
    count(*) AS "rows", arg_min_null("value", (_path, _row)) AS example, min((_path, _row)) AS "first"
FROM (SELECT checked AS "value", _path, _row FROM log WHERE condition) AS kept
WHERE bad
