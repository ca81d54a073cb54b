-- How a column becomes what the examples hold, one line a kind and type of column.
-- Replace: `value` (the column), `separator`, `zone`. A number that is no time from year 1 to 9999 is null.
-- NaN is null, too: isfinite finds it where isnan does not, as DuckDB answers isnan(x) by a file's least and
-- greatest value, in which most writers leave NaN out. A time with a fraction keeps its microseconds and is
-- never moved forward: a cast alone rounds on one engine and cuts off on another.
SELECT
    CAST(value AS BIGINT) AS id_of_integer,
    CAST(CASE WHEN isfinite(CAST(value AS DOUBLE)) THEN value END AS BIGINT) AS id_of_float,
    CAST(value AS VARCHAR) AS id_of_text,
    CAST(value AS BIGINT[]) AS ids_of_integer,
    CAST([CASE WHEN isfinite(e) THEN e END FOR e IN value] AS BIGINT[]) AS ids_of_float,
    CAST(value AS VARCHAR[]) AS ids_of_text,
    [trim(e) FOR e IN string_split(value, separator) IF trim(e) <> ''] AS ids_of_separated,
    CAST(value AS DOUBLE) AS number_of_integer,
    CASE WHEN isfinite(CAST(value AS DOUBLE)) THEN CAST(value AS DOUBLE) END AS number_of_float,
    CASE WHEN isfinite(CAST(value AS DOUBLE)) OR isinf(CAST(value AS DOUBLE)) THEN value END AS but_nan,
    CAST(value AS FLOAT[]) AS vector,
    CASE WHEN value BETWEEN -62135596800 AND 253402300799
        THEN make_timestamp(CAST(value AS BIGINT) * 1000000) END AS time_of_s,
    CASE WHEN value BETWEEN -62135596800000 AND 253402300799999
        THEN make_timestamp(CAST(value AS BIGINT) * 1000) END AS time_of_ms,
    CASE WHEN value BETWEEN -62135596800000000 AND 253402300799999999
        THEN make_timestamp(CAST(value AS BIGINT)) END AS time_of_us,
    CASE WHEN value BETWEEN -9223372036854775807 AND 9223372036854775807
        THEN make_timestamp(CAST(value AS BIGINT) // 1000) END AS time_of_ns,
    CASE WHEN value BETWEEN -62135596800 AND 253402300799
        THEN make_timestamp(CAST(floor(CAST(value AS DOUBLE) * 1000000) AS BIGINT)) END AS time_of_s_float,
    CASE WHEN value BETWEEN -62135596800000 AND 253402300799999
        THEN make_timestamp(CAST(floor(CAST(value AS DOUBLE) * 1000) AS BIGINT)) END AS time_of_ms_float,
    CASE WHEN value BETWEEN -62135596800000000 AND 253402300799999999
        THEN make_timestamp(CAST(floor(CAST(value AS DOUBLE)) AS BIGINT)) END AS time_of_us_float,
    CASE WHEN value BETWEEN -9223372036854775807 AND 9223372036854775807
        THEN make_timestamp(CAST(floor(CAST(value AS DOUBLE) / 1000) AS BIGINT)) END AS time_of_ns_float,
    CAST(value AS TIMESTAMP) AS time_of_timestamp,
    CAST(value AT TIME ZONE 'UTC' AS TIMESTAMP) AS time_of_zoned,
    CAST(timezone(zone, CAST(value AS TIMESTAMP)) AT TIME ZONE 'UTC' AS TIMESTAMP) AS time_of_local,
    CAST(try_strptime(CAST(CAST(value AS BIGINT) AS VARCHAR), '%Y%m%d') AS DATE) AS day_of_integer,
    CASE WHEN isfinite(CAST(value AS DOUBLE)) AND value % 1 = 0 AND value BETWEEN 10000101 AND 99991231
        THEN CAST(try_strptime(CAST(CAST(value AS BIGINT) AS VARCHAR), '%Y%m%d') AS DATE)
    END AS day_of_float,
    COALESCE(TRY_CAST(value AS DATE), CAST(try_strptime(value, '%Y%m%d') AS DATE)) AS day_of_text,
    CAST(value AS DATE) AS day_of_date,
    CAST(value AT TIME ZONE 'UTC' AT TIME ZONE zone AS DATE) AS day_of_time
FROM log
