-- Every event that has a cause: the one to credit, null where none lies within the window, and whether
-- any came before it. Causes are compared by time, then file, then row: `max` credits the last one,
-- `min` the first. Replace: `same_keys`, `length` (the window); add the cause's keys to the struct.
CREATE OR REPLACE TEMPORARY TABLE matched AS
SELECT
    events._file, events._row,
    max(CASE
        WHEN events._at >= causes._at AND events._at < causes._at + length THEN STRUCT_PACK(
            at := causes._at, file := causes._file, row := causes._row,
            of_file := causes._of_file, of_row := causes._of_row, day := causes._day
        )
    END) AS _credit,
    count(CASE WHEN causes._at <= events._at THEN 1 END) > 0 AS _follows
FROM events
JOIN causes ON same_keys
GROUP BY events._file, events._row
