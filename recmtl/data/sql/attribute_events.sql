-- A source's events that can be credited: nothing is lacking and they were seen by `as_of`.
-- Replace: `source`, `whole`, `moment`, `as_of`; add its id, keys and sums.
CREATE OR REPLACE TEMPORARY TABLE seen AS
SELECT files_of_events._file, _row, moment AS _at
FROM source
JOIN files_of_events USING (_path)
WHERE whole AND moment <= as_of
