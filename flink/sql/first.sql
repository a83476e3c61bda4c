-- The first of all orders with one message id, in two halves: what has two inputs is a task of its own to Flink, so
-- the rows are written by a thread of their own, and the deduplication goes on while that one waits for PostgreSQL.
CREATE TEMPORARY VIEW first_orders AS
SELECT message_id, drink, store, price_cents, ordered_at_us, accepted_at_us, `partition`, `offset`
FROM seen_records
WHERE is_first AND MOD(`partition`, 2) = 0
UNION ALL
SELECT message_id, drink, store, price_cents, ordered_at_us, accepted_at_us, `partition`, `offset`
FROM seen_records
WHERE is_first AND MOD(`partition`, 2) = 1
