-- In which part a row falls, one line a form of split; null falls in none.
-- Replace: the limits (in UTC for times), the part of each file, the thresholds (hexadecimal) and `hash`. A search
-- among many numbers of files would be made a join, which loses the order of rows.
SELECT
    CASE
        WHEN dt < start THEN NULL WHEN dt < valid THEN 'train' WHEN dt < test THEN 'valid'
        WHEN dt <= stop THEN 'test'
    END AS by_day,
    CASE
        WHEN _time < start THEN NULL WHEN _time < valid THEN 'train' WHEN _time < test THEN 'valid'
        WHEN _time <= stop THEN 'test'
    END AS by_time,
    list_extract(part_of_file, _file + 1) AS by_files,
    CASE WHEN hash < test_below THEN 'test' WHEN hash < valid_below THEN 'valid' ELSE 'train' END AS by_hash,
    CASE WHEN outer_part = cut_part AND hash < valid_below THEN 'valid' ELSE outer_part END AS with_valid_cut,
    md5(concat_ws('|', value)) AS hash,
    COALESCE('=' || CAST(value AS VARCHAR), '-') AS hashed
FROM examples
