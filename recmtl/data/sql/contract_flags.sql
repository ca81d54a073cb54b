-- Whether a column holds nothing but 0, 1 and null. Replace: `value`; one line a column.
SELECT bool_and(CAST(value AS DOUBLE) IN (0, 1)) AS flag FROM log
