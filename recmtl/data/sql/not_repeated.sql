-- Rows of the log that repeat no earlier one, as a condition over `log`.
SELECT
    NOT EXISTS (
        SELECT 1 FROM repeated WHERE repeated._path = log._path AND repeated._row = log._row
    ) AS not_repeated
FROM log
