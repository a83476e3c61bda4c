-- A batch of v1. In the order of their ids: two batches with common ids would otherwise wait for each other for ever.
INSERT INTO orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
SELECT 'v1', message_id, drink, store, price_cents, ordered_at, $6, ''
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::timestamptz[])
    AS batch (message_id, drink, store, price_cents, ordered_at)
ORDER BY message_id
ON CONFLICT (version, message_id) DO NOTHING
