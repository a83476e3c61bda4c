-- One order of v1. A repeat waits here for a concurrent first one to commit, and then adds nothing.
INSERT INTO orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
VALUES ('v1', $1, $2, $3, $4, $5, $6, '')
ON CONFLICT (version, message_id) DO NOTHING
