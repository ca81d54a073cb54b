-- Rows with the numbers of their keys, in the order day, file, row.
-- Replace: `selected` (the rows); add the columns and two LEFT JOINs a state: its keys' and its totals.
SELECT 1 FROM selected AS examples ORDER BY examples.dt, examples._file, examples._row
