-- v2's statements: the worker's, in the order in which it uses them, then the reconciliation's, then the audit's.


-- name: insert
-- Store a batch of which no order has been stored before: all of it, or nothing. Sorted by key, so that two workers
-- with the same orders lock them in the same order and cannot deadlock; of two entries with one key the earlier in
-- the log comes first. Into the partition itself: where it is missing that is an error to retry (42P01), by way of
-- the parent it would look like bad orders.
-- $1 to $7: message ids, drinks, stores, cents, times of order and of acceptance, entry ids, one array each.
-- Times come in microseconds since 1970. Whole seconds and the rest apart: an interval is multiplied by a double,
-- which is exact for each of the two up to the year 9999.
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


-- name: insert_keep_first
-- The end of the statement above where a batch may repeat orders: first come first kept. Half as much work again,
-- since every key is looked up before it is inserted.
on conflict (version, message_id) do nothing


-- name: read_back
-- For each entry of a batch, in its order: is there a row, is it the entry's own, and does its content agree?
-- $1 to $7: as of the insert.
-- A statement of its own after the commit: within the insert's snapshot, a row that another worker has just
-- committed cannot be seen.
select
    stored.source_id is not null as found,
    stored.source_id = entry.source_id as own,
    (stored.drink, stored.store, stored.price_cents, extract(epoch from stored.ordered_at) * 1000000)
    = (entry.drink, entry.store, entry.price_cents, entry.ordered_us) as same
from unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[], $7::text[])
    with ordinality
    as entry (message_id, drink, store, price_cents, ordered_us, accepted_us, source_id, place)
left join orders_v2 as stored on stored.version = 'v2' and stored.message_id = entry.message_id
order by entry.place


-- name: totals
-- What the metrics must show as of a cut: rows whose entry had left the stream by then. $1-$2 is the highest entry
-- id of the cut, compared as two integers; $3 are the ids that were still in the stream, so not yet counted.
-- A row whose source_id is no entry id was not brought by the worker, but it is an order: it is shown.
select drink, store, count(*) as orders, sum(price_cents)::bigint as cents
from orders_v2
where case
    when source_id !~ '^[0-9]{1,20}-[0-9]{1,20}$' then true
    else
        -- Both are unsigned 64-bit numbers, which bigint is not: an entry that others have added may have any.
        (split_part(source_id, '-', 1)::numeric, split_part(source_id, '-', 2)::numeric)
        <= ($1::numeric, $2::numeric)
        and source_id <> all ($3::text[])
end
group by drink, store


-- name: stored_entries
-- Which of these entries have a row. $1: version; $2: entry ids.
select source_id from orders where version = $1 and source_id = any($2::text[])


-- name: entries_with_copies
-- Entries with more than one row. $1: version; $2: how many at most.
select source_id from orders where version = $1 group by source_id having count(*) > 1 order by source_id limit $2
