-- A table that other connections see, too. Replace: `shared` (the table to make), `own`.
CREATE OR REPLACE TABLE shared AS SELECT * FROM own
