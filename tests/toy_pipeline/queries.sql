-- name: partition
-- A partition of its own, as the migrations make one for each built-in pipeline.
create table if not exists orders_toy partition of orders for values in ('toy')

-- name: insert
insert into orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
values ('toy', $1, $2, $3, $4, $5, $6, '')
on conflict do nothing

-- name: content
select drink, store, price_cents, ordered_at from orders where version = 'toy' and message_id = $1

-- name: status
select accepted_at, stored_at from orders where version = 'toy' and message_id = $1

-- name: totals
select drink, store, count(*) as orders, sum(price_cents)::bigint as cents
from orders where version = 'toy' group by drink, store
