-- What came of causes: credited events, and of causes without a key, of which nobody can know what came, one row
-- without a time; of causes of these as well. Replace: `credited`, `keyless` (a key is null), `before` (what the
-- causes' own source gave), `flag` (its column, null where that is unknown); add the sums to all three.
SELECT _of_file, _of_row, _day, _at FROM credited
UNION ALL
SELECT _of_file, _of_row, _day, NULL AS _at FROM causes WHERE keyless
UNION ALL
SELECT _file AS _of_file, _row AS _of_row, _day, NULL AS _at FROM before WHERE flag IS NULL
