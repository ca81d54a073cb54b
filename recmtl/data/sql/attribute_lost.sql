-- What came of causes: credited events, and of causes without a key, of which nobody can know what came, one row
-- without a time; of causes that are lost themselves as well. Replace: `credited`, `keyless` (a key is null),
-- `before` (what the causes' own source gave); add the sums to all three.
SELECT _of_file, _of_row, _day, _at, FALSE AS _lost FROM credited
UNION ALL
SELECT _of_file, _of_row, _day, NULL AS _at, TRUE AS _lost FROM causes WHERE keyless
UNION ALL
SELECT _file AS _of_file, _row AS _of_row, _day, NULL AS _at, TRUE AS _lost FROM before WHERE _lost
