-- How a column becomes what the examples hold, one line a kind and type of column.
-- Replace: `value` (the column), `separator`, `zone`.
SELECT
    CAST(value AS BIGINT) AS id_of_integer,
    CAST(CASE WHEN isnan(CAST(value AS DOUBLE)) THEN NULL ELSE value END AS BIGINT) AS id_of_float,
    CAST(value AS VARCHAR) AS id_of_text,
    CAST(value AS BIGINT[]) AS ids_of_integer,
    CAST([CASE WHEN isnan(e) THEN NULL ELSE e END FOR e IN value] AS BIGINT[]) AS ids_of_float,
    CAST(value AS VARCHAR[]) AS ids_of_text,
    [trim(e) FOR e IN string_split(value, separator) IF trim(e) <> ''] AS ids_of_separated,
    CAST(value AS DOUBLE) AS number_of_integer,
    CASE WHEN isnan(CAST(value AS DOUBLE)) THEN NULL ELSE CAST(value AS DOUBLE) END AS number_of_float,
    CAST(value AS FLOAT[]) AS vector,
    make_timestamp(CAST(value AS BIGINT) * 1000000) AS time_of_s,
    make_timestamp(CAST(value AS BIGINT) * 1000) AS time_of_ms,
    make_timestamp(CAST(value AS BIGINT)) AS time_of_us,
    make_timestamp(CAST(value AS BIGINT) // 1000) AS time_of_ns,
    CAST(value AS TIMESTAMP) AS time_of_timestamp,
    CAST(value AT TIME ZONE 'UTC' AS TIMESTAMP) AS time_of_zoned,
    CAST(try_strptime(CAST(CAST(value AS BIGINT) AS VARCHAR), '%Y%m%d') AS DATE) AS day_of_integer,
    COALESCE(TRY_CAST(value AS DATE), CAST(try_strptime(value, '%Y%m%d') AS DATE)) AS day_of_text,
    CAST(value AS DATE) AS day_of_date,
    CAST(value AT TIME ZONE 'UTC' AT TIME ZONE zone AS DATE) AS day_of_time
FROM log
