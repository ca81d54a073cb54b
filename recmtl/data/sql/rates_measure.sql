-- The numbers of a measure, one line each. Replace: `label`, `space` (where the label counts).
SELECT
    count(*) FILTER (WHERE space AND label IS NOT NULL) AS counted,
    count(*) FILTER (WHERE space AND label = 1) AS positives,
    CAST(sum(tallied) AS BIGINT) AS summed
FROM examples
