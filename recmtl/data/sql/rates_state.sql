-- The state for a day: what is known when it begins of the days before it.
-- Replace: `day`, `start` (what was known by then is too old), `file`; add the keys and the sums.
COPY (
    SELECT 1
    FROM tally
    WHERE _known > start AND _known <= day
    GROUP BY ALL
    ORDER BY ALL
) TO 'file' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)
