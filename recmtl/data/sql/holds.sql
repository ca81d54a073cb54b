-- Which row of a key's history is met, one line a way. Replace: `_from`, `_until`, `at` (a time).
SELECT
    _from <= at AND at < _until AS at_time,
    _until = TIMESTAMP '9999-12-31 00:00:00' AS latest
FROM side
