-- What was first said under a message id.
SELECT drink, store, price_cents, ordered_at
FROM orders
WHERE version = 'v1' AND message_id = $1
