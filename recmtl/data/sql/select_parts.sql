-- The rows of all parts in the order day, file, row, each with its part; null where it falls in none.
-- Replace: `rows_of_days` (see dated.sql), `part_of_row` (see split.sql), `wanted` (rows to read at all).
SELECT part_of_row AS _part
FROM rows_of_days
WHERE wanted
