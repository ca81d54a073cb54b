-- The last elements of one list column on train, as many as a history reads, and the day of each.
SELECT unnest(column_[greatest(array_length(column_) - last_ + 1, 1):]) AS value, TRY_CAST(day_ AS DATE) AS day
FROM lists
