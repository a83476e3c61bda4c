-- v3's statement: not ours, Flink's.


-- name: upsert
-- What the job's JDBC sink makes of the table that ``flink/job.sql`` declares, in the words of Flink's dialect for
-- PostgreSQL: many rows at once under load. The trigger of the partition turns the update into nothing.
-- $1 to $8: version, message id, drink, store, cents, times of order and of acceptance as text, place on the topic.
INSERT INTO orders_v3(version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (version, message_id) DO UPDATE SET
drink=EXCLUDED.drink, store=EXCLUDED.store, price_cents=EXCLUDED.price_cents, ordered_at=EXCLUDED.ordered_at,
accepted_at=EXCLUDED.accepted_at, source_id=EXCLUDED.source_id
