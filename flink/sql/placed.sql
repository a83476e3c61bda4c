-- The window of each order, or NULL where it is late, by what the order itself says: neither a restart nor a replay,
-- neither an idle partition nor an order from the future changes it. The rule is that of coffee_core/windows.py.
CREATE TEMPORARY VIEW placed_records AS
SELECT *, CASE WHEN accepted_at_us < (start_s + {closed_after_s}) * 1000000 THEN start_s END AS window_s
FROM (
    SELECT *, (event_us - MOD(event_us, {window_s} * 1000000)) / 1000000 AS start_s
    FROM (SELECT *, LEAST(ordered_at_us, accepted_at_us) AS event_us FROM seen_records)
)
