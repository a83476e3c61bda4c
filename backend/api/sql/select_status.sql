-- One order of v2 or v3 by its message id, where on its log it was read, and its times.
SELECT source_id, accepted_at, stored_at
FROM orders
WHERE version = $1 AND message_id = $2
