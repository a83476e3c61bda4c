-- What was first said under these message ids.
SELECT message_id, drink, store, price_cents, ordered_at
FROM orders
WHERE version = 'v1' AND message_id = ANY($1::uuid[])
