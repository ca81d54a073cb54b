-- How many rows repeat an earlier one.
SELECT count(*) AS "rows" FROM repeated
