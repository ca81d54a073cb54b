-- Credited events, each with its impression. Replace: `credited` (the table to make); add the keys that
-- further events are joined by.
CREATE OR REPLACE TEMPORARY TABLE credited AS
SELECT events.*, matched._of_file, matched._of_row, matched._day
FROM events
JOIN matched ON matched._file = events._file AND matched._row = events._row
WHERE matched._of_file IS NOT NULL
