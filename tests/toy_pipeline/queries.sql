-- The toy's statements: its schema, the API's, the projector's.


-- name: partition
-- A partition of its own, as the migrations make one for each built-in pipeline.
create table if not exists orders_toy partition of orders for values in ('toy')


-- name: insert
-- Store an order; a repeat adds nothing.
-- $1 to $6: message id, drink, store, cents, when it was ordered and when it was accepted.
insert into orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
values ('toy', $1, $2, $3, $4, $5, $6, '')
on conflict do nothing


-- name: content
-- What was first ordered under a message id. $1: message id.
select drink, store, price_cents, ordered_at from orders where version = 'toy' and message_id = $1


-- name: status
-- The times of an order. $1: message id.
select accepted_at, stored_at from orders where version = 'toy' and message_id = $1


-- name: totals
-- Totals of all rows.
select drink, store, count(*) as orders, sum(price_cents)::bigint as cents
from orders where version = 'toy' group by drink, store
