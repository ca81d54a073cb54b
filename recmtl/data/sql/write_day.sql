-- One day of the examples, in the order of the log. Replace: `this_day`, `file`.
COPY (
    SELECT * EXCLUDE (_day) FROM examples WHERE _day IS NOT DISTINCT FROM this_day ORDER BY _file, _row
) TO 'file' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)
