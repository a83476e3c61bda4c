-- v4's statements: the worker's, in the order in which it uses them, then the reconciliation's and the audit's.


-- name: know_partitions
-- Make the lines of partitions that have none. $1: partitions.
insert into orders_v4_offsets (partition) select unnest($1::integer[]) on conflict do nothing


-- name: positions
-- How far all that was read has been stored, and the last record of it. $1: partitions.
select partition, next_offset, last_record from orders_v4_offsets where partition = any($1::integer[])


-- name: advance
-- Move on, where nobody else has: the first statement of a transaction, so that of two workers with the same records
-- one waits here for the other, and then finds that it has nothing left to do.
-- $1 to $6: of each portion its partition, first and next offset, records and malformed ones among them, and the mark of
-- its last record, '' where it has none. Returns a row for each that has moved on; ``refusals``: PostgreSQL has ever
-- refused an order.
with locked as (
    select partition from orders_v4_offsets where partition = any($1::integer[]) order by partition for update
)

update orders_v4_offsets as line
set
    next_offset = portion.next_offset,
    records = line.records + portion.records,
    dead = line.dead + portion.dead,
    last_record = coalesce(nullif(portion.last_record, ''), line.last_record)
from unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[])
    as portion (partition, first_offset, next_offset, records, dead, last_record),
    locked
where line.partition = portion.partition and locked.partition = portion.partition
    and line.next_offset = portion.first_offset
returning exists (select from orders_v4_refused) as refusals


-- name: insert
-- Store orders of which none has been stored before: all of them, or nothing. Sorted by key, so that two workers with
-- the same orders lock them in the same order and cannot deadlock. Into the partition itself: where it is missing that is an
-- error to retry (42P01), by way of the parent it would look like bad orders.
-- $1 to $7: message ids, drinks, stores, cents, times of order and of acceptance, places on the topic.
-- Times come in microseconds since 1970. Whole seconds and the rest apart: an interval is multiplied by a double,
-- which is exact for each of the two up to the year 9999.
insert into orders_v4 (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
select
    'v4', message_id, drink, store, price_cents,
    'epoch'::timestamptz + ordered_us / 1000000 * interval '1 s' + ordered_us % 1000000 * interval '1 us',
    'epoch'::timestamptz + accepted_us / 1000000 * interval '1 s' + accepted_us % 1000000 * interval '1 us',
    source_id
from unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[], $7::text[])
    with ordinality
    as entry (message_id, drink, store, price_cents, ordered_us, accepted_us, source_id, place)
order by message_id, place


-- name: insert_keep_first
-- The end of the statement above where orders may be repeated: of several with one key the first to come is kept. Half
-- as much work again, since every key is looked up before it is inserted.
on conflict (version, message_id) do nothing


-- name: read_back
-- For each order, as of the insert: is there a row, is it its own, does its content agree, and may an aggregator not
-- know of it? The row may be from another partition, whose records it may meet in another order, or from long before,
-- $8: an interval, by when the two were accepted, or were stored: a dead letter keeps its time when it is sent again; or
-- from before the aggregators last began anew, $9: microseconds since 1970, null where that is not
-- known: then its record may have been lost by the topic; or the order was refused once. Clocks may differ by 5 s.
-- A statement of its own after the insert: within that one's snapshot a row that another worker has just committed
-- cannot be seen.
select
    stored.source_id is not null as found,
    stored.source_id = entry.source_id as own,
    (stored.drink, stored.store, stored.price_cents, extract(epoch from stored.ordered_at) * 1000000)
    = (entry.drink, entry.store, entry.price_cents, entry.ordered_us) as same,
    split_part(stored.source_id, ':', 1) <> split_part(entry.source_id, ':', 1)
    or 'epoch'::timestamptz + entry.accepted_us / 1000000 * interval '1 s' > stored.accepted_at + $8::interval
    or clock_timestamp() > stored.stored_at + $8::interval
    or coalesce(stored.accepted_at < 'epoch'::timestamptz + ($9::bigint / 1000000 + 5) * interval '1 s', true)
    or exists (select from orders_v4_refused as refused where refused.message_id = entry.message_id)
        as doubtful
from unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[], $7::text[])
    with ordinality
    as entry (message_id, drink, store, price_cents, ordered_us, accepted_us, source_id, place)
left join orders_v4 as stored on stored.version = 'v4' and stored.message_id = entry.message_id
order by entry.place


-- name: doubt_mended
-- Doubt orders that are stored now and were refused once: an aggregator may have counted one, forgotten it, and met its
-- first record again since, in a replay. Then it drops this one as a repeat.
-- $1: message ids of the orders, $2: places on the topic.
update orders_v4_offsets as line
set doubts = line.doubts + mended.orders
from (
    select split_part(entry.source_id, ':', 1)::integer as partition, count(*) as orders
    from unnest($1::uuid[], $2::text[]) as entry (message_id, source_id)
    inner join orders_v4_refused as refused on refused.message_id = entry.message_id
    inner join orders_v4 as stored
        on stored.version = 'v4' and stored.message_id = entry.message_id and stored.source_id = entry.source_id
    group by 1
) as mended
where line.partition = mended.partition


-- name: note_outcomes
-- Note what became of records that are no rows. $1 to $4: partitions; repeats, dead letters and doubts of each.
update orders_v4_offsets as line
set
    duplicates = line.duplicates + outcome.duplicates,
    dead = line.dead + outcome.dead,
    doubts = line.doubts + outcome.doubts
from unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[]) as outcome (partition, duplicates, dead, doubts)
where line.partition = outcome.partition


-- name: note_refused
-- Note ids that PostgreSQL has refused. $1: message ids.
insert into orders_v4_refused (message_id) select distinct message_id from unnest($1::uuid[]) as order_of (message_id)
on conflict (message_id) do update set forgotten = false


-- name: to_forget
-- Ids that were refused, and that the aggregators still know.
select message_id from orders_v4_refused where not forgotten


-- name: forgotten
-- Note that the aggregators have forgotten these ids. $1: message ids.
update orders_v4_refused set forgotten = true where message_id = any($1::uuid[])


-- name: offsets
-- How far the workers have stored each partition, and what became of its records.
select partition, next_offset, records, duplicates, dead, doubts, last_record from orders_v4_offsets


-- name: totals_below
-- What the metrics must show as of a cut: rows that come from below its offsets, $2, of the partitions $1. A row whose
-- source_id is no place on the topic was not brought by a worker, but it is an order: it is shown.
select drink, store, count(*) as orders, sum(price_cents)::bigint as cents
from orders_v4
left join unnest($1::integer[], $2::bigint[]) as cut (partition, below)
    on cut.partition::text = split_part(source_id, ':', 1)
where case
    when source_id !~ '^[0-9]{1,9}:[0-9]{1,18}$' then true
    else split_part(source_id, ':', 2)::bigint < cut.below
end
group by drink, store


-- name: begin_again
-- Let the workers read partitions of a topic that was made anew, or has lost its end, from its beginning: rows that are there stay.
-- $1: partitions.
update orders_v4_offsets
set next_offset = 0, records = 0, duplicates = 0, dead = 0, last_record = ''
where partition = any($1::integer[])
