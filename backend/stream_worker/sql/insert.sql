-- Store a batch of which no order has been stored before: all of it, or nothing. Sorted by key, so that two workers
-- with the same orders lock them in the same order and cannot deadlock; of two entries with one key the earlier in
-- the log comes first. Into the partition itself: where it is missing that is an error to retry (42P01), by way of
-- the parent it would look like bad orders. Times come in microseconds since 1970. Whole seconds and the rest apart:
-- an interval is multiplied by a double, which is exact for each of the two up to the year 9999.
insert into orders_v2 (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
select
    'v2', message_id, drink, store, price_cents,
    'epoch'::timestamptz + ordered_us / 1000000 * interval '1 s' + ordered_us % 1000000 * interval '1 us',
    'epoch'::timestamptz + accepted_us / 1000000 * interval '1 s' + accepted_us % 1000000 * interval '1 us',
    source_id
from unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[], $7::text[])
    with ordinality
    as entry (message_id, drink, store, price_cents, ordered_us, accepted_us, source_id, place)
order by message_id, place
