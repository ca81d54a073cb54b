-- Events, and the causes that agree with one in the keys, each with its place: how many causes of its keys
-- come up to it, by time, then file, then row. A sort finds an event's cause, where pairs of all events and
-- all causes of a key would be quadratic in that key. An event is placed at its time, or as much before it
-- as `back` says. Replace: `same_keys`, `back` (an interval); partition by the keys; add the keys to both.
CREATE OR REPLACE TEMPORARY TABLE placed AS
SELECT
    *,
    count(_of_file) OVER (
        PARTITION BY "keys" ORDER BY _moment, _is_event, _file, _row
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS _place
FROM (
    SELECT _at AS _moment, FALSE AS _is_event, _at, _file, _row, _of_file, _of_row, _day
    FROM causes
    WHERE EXISTS (SELECT 1 FROM events WHERE same_keys)
    UNION ALL
    SELECT _at - back AS _moment, TRUE AS _is_event, _at, _file, _row, NULL AS _of_file, NULL AS _of_row, NULL AS _day
    FROM events
) AS placing
