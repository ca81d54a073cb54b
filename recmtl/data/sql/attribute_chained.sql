-- Credited events as causes of further events. Replace: `credited`.
CREATE OR REPLACE TEMPORARY VIEW causes AS SELECT * FROM credited
