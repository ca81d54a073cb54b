-- The sums over all keys of a state, a row a day. Replace: `state`; add the sums.
SELECT dt FROM state GROUP BY dt
