-- The numbers of a feature, one line a kind; null where nothing is known yet, or a key is null.
-- Replace: `keyed` (no key is null), `rows_`, `positives` (of the row's key), `all_rows`, `all_positives`
-- (of all keys), `prior`, `number` (either of the two of the key); `list` and `separator` for a key that is
-- a list, whose elements are the key.
SELECT
    CASE WHEN keyed AND all_rows > 0 THEN
        (COALESCE(positives, 0) + CAST(prior AS DOUBLE) * all_positives / all_rows)
        / (COALESCE(rows_, 0) + CAST(prior AS DOUBLE))
    END AS rate,
    CASE WHEN keyed AND all_rows > 0 THEN CAST(COALESCE(number, 0) AS DOUBLE) END AS count,
    array_to_string(CAST(list AS VARCHAR[]), separator) AS key_of_list
FROM examples
