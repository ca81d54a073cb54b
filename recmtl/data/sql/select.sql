-- The rows of a part in the order day, file, row (files are read in the order given).
-- Replace: `rows_of_days` (see dated.sql), `part_of_row` (see split.sql), `part`.
SELECT 1
FROM rows_of_days
WHERE part_of_row = part
