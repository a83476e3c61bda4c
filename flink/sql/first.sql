-- The first of all orders with one message id.
CREATE TEMPORARY VIEW first_orders AS
SELECT message_id, drink, store, price_cents, ordered_at_us, accepted_at_us, `partition`, `offset`
FROM seen_records
WHERE is_first
