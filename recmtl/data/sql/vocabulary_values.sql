-- The values of one column on train and the day of each; null where there is none.
SELECT column_ AS value, TRY_CAST(day_ AS DATE) AS day
FROM train
