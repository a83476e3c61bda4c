-- A batch as the stream worker inserts it, into the bench's own partition.
insert into orders_bench (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
select 'bench', message_id, 'latte', 'uptown', 500, now(), now(), ''
from unnest($1::uuid[]) as entry (message_id)
order by message_id
on conflict (version, message_id) do nothing
