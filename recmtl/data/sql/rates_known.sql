-- The first day on which a row's label is known, one line a kind of log: the first that begins when
-- the label's horizon is over, and never the row's own day.
-- Replace: `horizon` (in seconds), `days` (the same in whole days, rounded up), `last_day` (the day of
-- the last moment before the horizon is over: `moment` in the log's zone).
SELECT
    dt + (days + 1) AS by_day,
    greatest(dt, last_day) + 1 AS by_time,
    _time + horizon * INTERVAL '1' SECOND - INTERVAL '1' MICROSECOND AS moment
FROM examples
