-- One order of v2 or v3 by its message id, and where on its log it was read.
SELECT source_id
FROM orders
WHERE version = $1 AND message_id = $2
