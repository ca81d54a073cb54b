-- What became of a source's events: repeated ones aside, each falls under one heading.
SELECT
    (SELECT count(*) FROM events) - count(*) AS orphans,
    count(CASE WHEN _of_file IS NULL AND NOT _follows THEN 1 END) AS before_cause,
    count(CASE WHEN _of_file IS NULL AND _follows THEN 1 END) AS outside_window,
    count(_of_file) AS credited
FROM matched
