-- Each event once: of those with one id the earliest, and of these the first in the files.
CREATE OR REPLACE TEMPORARY TABLE events AS
SELECT *
FROM (SELECT *, row_number() OVER (PARTITION BY _id ORDER BY _at, _file, _row) AS _turn FROM seen) AS turns
WHERE _turn = 1
