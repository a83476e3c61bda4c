-- One row for each window, of which only those that a mini-batch has changed are written. The hint: a window takes no
-- more orders when it is closed, so its state need not stay for as long as the message ids.
CREATE TEMPORARY VIEW windows AS
SELECT /*+ STATE_TTL('placed_records' = '2h') */
    window_s,
{window_columns}
FROM placed_records
WHERE is_first AND window_s IS NOT NULL
GROUP BY window_s
