-- The rows of one piece of the input in its order, joined and in canonical types.
SELECT * EXCLUDE (_file, _row, _day) FROM examples ORDER BY _row
