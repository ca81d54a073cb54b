-- Which values of the columns that identify a row stand in several rows. Replace: `condition` (rows to
-- keep); add the columns.
CREATE OR REPLACE TEMPORARY TABLE suspects AS
SELECT count(*) AS _several
FROM log
WHERE condition
GROUP BY ALL
HAVING count(*) > 1
