-- What is read of events and of their time, what impressions read of them, and when a label is known, one
-- line each. Replace: `value`, `read`, `farthest` (a number beyond which `value` is no time), `_time`,
-- `youngest` (the last time with all windows closed), `seen`, `lost` (a key is null, so that nothing can be
-- credited), `place`, `flag` and `not_all` (of what a source gave the impression: where, whether that is known, and
-- whether some of it is not).
SELECT
    COALESCE(value, 0) AS zero_where_none,
    value AS null_where_none,
    CASE WHEN value BETWEEN -farthest AND farthest THEN read END AS within_reach,
    CASE WHEN _time > youngest THEN NULL ELSE read END AS known_by_age,
    CASE WHEN lost THEN NULL ELSE read END AS known_by_key,
    place IS NOT NULL AND flag IS NULL AS lost_on_the_way,
    COALESCE(not_all, FALSE) AS lost_in_part,
    CASE WHEN count(_at) > 0 THEN 1 END AS credited,
    count(CASE WHEN _lost THEN 1 END) > 0 AS some_lost,
    _time <= seen AS seen_by,
    COALESCE(sum(value ORDER BY value), 0) AS total,
    count(CASE WHEN value IS NULL THEN 1 END) AS missing
FROM examples
