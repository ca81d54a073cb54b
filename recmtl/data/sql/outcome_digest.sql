-- What a source of events gave to each day: impressions, and a number that changes with any of their
-- values but not with their order. Replace: `outcome` (the source's table).
SELECT _day, count(*) AS "rows", sum(CAST(hash(outcome) AS HUGEINT)) AS "values"
FROM outcome
GROUP BY _day
