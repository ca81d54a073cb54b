-- What a source gives the impressions that it is credited to, or of which it cannot be known or is not all.
-- Replace: `outcome` (the table to make), `given` (credited events, see also attribute_lost.sql); add the source's
-- columns and `_lost`.
CREATE OR REPLACE TEMPORARY TABLE outcome AS
SELECT _of_file AS _file, _of_row AS _row, min(_day) AS _day
FROM given
GROUP BY _of_file, _of_row
