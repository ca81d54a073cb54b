-- What became of a source's events on each of their days: repeated ones aside, each falls under one heading.
-- Replace: `day`.
SELECT
    CAST(day AS VARCHAR) AS _day,
    count(CASE WHEN matched._row IS NULL THEN 1 END) AS orphans,
    count(CASE WHEN matched._of_file IS NULL AND NOT matched._follows THEN 1 END) AS before_cause,
    count(CASE WHEN matched._of_file IS NULL AND matched._follows THEN 1 END) AS outside_window,
    count(matched._of_file) AS credited
FROM events
LEFT JOIN matched ON matched._file = events._file AND matched._row = events._row
GROUP BY ALL
