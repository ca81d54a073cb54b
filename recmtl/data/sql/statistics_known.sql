-- How many rows on train have a value.
SELECT count(column_) AS known
FROM train
