-- A state of one day, read once for all pieces of the input. Replace: `held` (the table to make), `state`.
CREATE OR REPLACE TEMPORARY TABLE held AS SELECT * FROM state
