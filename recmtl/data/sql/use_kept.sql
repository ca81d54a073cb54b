-- The side table's name, given to what was kept of it. Replace: `side`, `kept`.
CREATE OR REPLACE TEMPORARY VIEW side AS SELECT * FROM kept
