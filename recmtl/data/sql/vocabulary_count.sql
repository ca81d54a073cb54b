-- Distinct values with their counts and days, hot ones first, so that their table rows lie together.
SELECT value, count(*) AS count, min(day) AS first_day, max(day) AS last_day
FROM occurrences
WHERE value IS NOT NULL
GROUP BY value
ORDER BY count DESC, value
