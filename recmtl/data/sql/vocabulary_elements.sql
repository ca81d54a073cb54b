-- The elements of one list column on train, and the day of each.
SELECT unnest(column_) AS value, TRY_CAST(day_ AS DATE) AS day
FROM lists
