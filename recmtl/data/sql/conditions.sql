-- What makes a value unusable, or doubtful, one line a kind of column. Replace: `value`, `read`, `size`, `least`
-- and `most` (of times in the unit given, or the last class). Of another unit is what lies within the times of all units alone.
SELECT
    value IS NULL AS missing,
    value IS NOT NULL AND read IS NULL AS unreadable,
    NOT CAST(value AS DOUBLE) IN (0, 1) AS not_boolean,
    isfinite(CAST(value AS DOUBLE)) AND (
        CAST(value AS DOUBLE) % 1 <> 0 OR NOT CAST(value AS DOUBLE) BETWEEN 0 AND most
    ) AS not_a_class,
    isinf(CAST(value AS DOUBLE)) OR isfinite(CAST(value AS DOUBLE)) AND (
        value % 1 <> 0 OR abs(value) > 9007199254740992.0
    ) AS not_whole,
    value > 9223372036854775807 OR value < -9223372036854775808 AS too_large,
    isinf(CAST(value AS DOUBLE)) AS infinite,
    isfinite(CAST(value AS DOUBLE)) AND CAST(value AS DOUBLE) < 0 AS negative,
    array_length(CAST(value AS FLOAT[])) <> size AS not_of_size,
    value IS NULL OR CAST(value AS DOUBLE) < 0 OR NOT isfinite(CAST(value AS DOUBLE)) AS not_a_weight,
    NOT value BETWEEN least AND most AND value BETWEEN 631152000 AND 4133980800000000000 AS of_another_unit,
    UNNEST(value) AS elements
FROM log
