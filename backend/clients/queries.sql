-- name: insert_order
-- One order of v1. A repeat waits here for a concurrent first one to commit, and then adds nothing.
INSERT INTO orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
VALUES ('v1', $1, $2, $3, $4, $5, $6, '')
ON CONFLICT (version, message_id) DO NOTHING


-- name: insert_group
-- Orders of v1 whose message ids the API has just made: one of them that is there already refuses all.
INSERT INTO orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
SELECT 'v1', message_id, drink, store, price_cents, ordered_at, accepted_at, ''
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::timestamptz[], $6::timestamptz[])
    AS fresh (message_id, drink, store, price_cents, ordered_at, accepted_at)


-- name: select_content
-- What was first said under a message id.
SELECT drink, store, price_cents, ordered_at
FROM orders
WHERE version = 'v1' AND message_id = $1
