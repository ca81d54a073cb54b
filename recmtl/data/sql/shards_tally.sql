-- How often a label is 1 or null in a part, and how often it is 1 where `given` holds.
-- Replace: `label`, `given`, `part`.
SELECT
    count(*) AS "rows",
    count(*) FILTER (WHERE label > 0) AS positives,
    count(*) - count(label) AS nulls,
    count(*) FILTER (WHERE label > 0 AND given) AS positives_given
FROM part
