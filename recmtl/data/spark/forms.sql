-- What DuckDB has and Spark's SQL says otherwise, one line a construct, in Spark's dialect.
-- Replace: `value`, `start`, `format`, `zone`.
SELECT
    abs(value) < CAST('Infinity' AS DOUBLE) AS isfinite,
    abs(value) = CAST('Infinity' AS DOUBLE) AS isinf,
    CAST(timestamp_micros(value) AS TIMESTAMP_NTZ) AS make_timestamp,
    try_to_timestamp(value, format) AS try_strptime,
    to_utc_timestamp(value, zone) AS timezone,
    CASE WHEN value RLIKE '^ *[0-9]+-[0-9]+-[0-9]+' THEN try_cast(value AS DATE) END AS try_date,
    CAST(xxhash64(value) AS DECIMAL(38, 0)) AS hash,
    avg(value) AS favg,
    url_decode(replace(value, '+', '%2B')) AS url_decode,
    aggregate(sort_array(collect_list(value)), CAST(0 AS DOUBLE), (total, one) -> total + one) AS sum_in_order,
    slice(value, CAST(start AS INT), size(value)) AS tail
