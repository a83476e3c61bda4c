-- Store a batch of which no order has been stored before: all of it, or nothing. Two thirds of the work of
-- insert.sql, which looks every key up before it inserts it; as there, sorted and into the partition itself.
insert into orders_v2 (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
select
    'v2', message_id, drink, store, price_cents,
    'epoch'::timestamptz + ordered_us / 1000000 * interval '1 s' + ordered_us % 1000000 * interval '1 us',
    'epoch'::timestamptz + accepted_us / 1000000 * interval '1 s' + accepted_us % 1000000 * interval '1 us',
    source_id
from unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[], $7::text[])
    as entry (message_id, drink, store, price_cents, ordered_us, accepted_us, source_id)
order by message_id
