-- A column that folders give, e.g. dt=2024-01-01: text. Replace: `pattern` (its first group the value).
SELECT
    NULLIF(url_decode(regexp_extract(_path, pattern, 1)), '__HIVE_DEFAULT_PARTITION__') AS value
FROM log
