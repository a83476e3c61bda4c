-- Orders of v1 whose message ids the API has just made: one of them that is there already refuses all.
INSERT INTO orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
SELECT 'v1', message_id, drink, store, price_cents, ordered_at, accepted_at, ''
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::timestamptz[], $6::timestamptz[])
    AS fresh (message_id, drink, store, price_cents, ordered_at, accepted_at)
