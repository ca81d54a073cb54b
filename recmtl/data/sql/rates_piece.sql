-- The rows of one piece of the input, on the day of the state. Replace: `day`; add the keys.
SELECT day AS dt, 0 AS _file, _row FROM piece
