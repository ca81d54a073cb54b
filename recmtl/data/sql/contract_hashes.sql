-- What a value is known by, one line a kind of column. Replace: `value`.
SELECT hash(value) AS ids, [hash(e) FOR e IN value IF e IS NOT NULL] AS lists FROM examples
