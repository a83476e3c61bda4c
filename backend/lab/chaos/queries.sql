-- name: rows
-- What is stored of the orders of one client. $1: version; $2, $3: first and last time of order.
select message_id, drink, store, price_cents, ordered_at, accepted_at, stored_at, source_id
from orders
where version = $1 and ordered_at between $2 and $3


-- name: lock
-- The lock of ALTER TABLE, DROP and TRUNCATE: it waits for everyone, and everyone waits behind it.
lock table orders in access exclusive mode
