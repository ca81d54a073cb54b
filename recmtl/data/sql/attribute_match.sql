-- Every event that has a cause: what the one to credit belongs to, null where none lies within the window,
-- and whether any cause of its keys came before that. The last cause is the one at the event's own place; the
-- first one within the window is the next after the place of the window's begin.
-- Replace: `same_keys_first`, `same_keys`, `next` (0 or 1), `length` (the window); add the cause's keys.
CREATE OR REPLACE TEMPORARY TABLE matched AS
SELECT event._file, event._row, event._place > 0 AS _follows, cause._of_file, cause._of_row, cause._day
FROM placed AS event
JOIN placed AS earliest ON same_keys_first AND NOT earliest._is_event AND earliest._place = 1
LEFT JOIN placed AS cause
    ON same_keys AND NOT cause._is_event AND cause._place = event._place + next
    AND cause._at <= event._at AND event._at < cause._at + length
WHERE event._is_event
