-- name: partition
-- A partition of the orders' own table for the ceiling of bulk INSERTs: same columns, checks and key; no pipeline's.
create table if not exists orders_bench partition of orders for values in ('bench')


-- name: insert
-- A batch as the stream worker inserts it, into the bench's own partition.
insert into orders_bench (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
select 'bench', message_id, 'latte', 'uptown', 500, now(), now(), ''
from unnest($1::uuid[]) as entry (message_id)
order by message_id
on conflict (version, message_id) do nothing


-- name: drop
-- Away with the bench's own partition.
drop table if exists orders_bench


-- name: seed
-- $1 rows of v1 as the API would have stored them an hour ago, marked as the bench's own.
insert into orders_v1 (version, message_id, drink, store, price_cents, ordered_at, accepted_at, stored_at, source_id)
select
    'v1',
    uuidv7(),
    (array['cappuccino', 'americano', 'latte'])[1 + number % 3],
    (array['uptown', 'downtown', 'central', 'southend'])[1 + number % 4],
    250 + number % 400,
    now() - interval '1 hour',
    now() - interval '1 hour',
    now() - interval '1 hour',
    'bench'
from generate_series(1, $1::integer) as number


-- name: tidy
-- The table as autovacuum leaves it before long: not a part of what is measured.
vacuum analyze orders_v1


-- name: unseed
-- Away with the bench's own rows of v1; the API stores its orders without a source.
delete from orders_v1 where source_id = 'bench'


-- name: stored_since
-- Rows of a pipeline, $1, that were inserted after a time, $2: how many, the first and the last.
select count(*) as orders, min(stored_at) as first_at, max(stored_at) as last_at
from orders
where version = $1 and stored_at > $2


-- name: size
-- Bytes of a partition with its index and overflow; bytes that the write-ahead log has grown to since it began.
select
    pg_total_relation_size($1::text::regclass) as kept,
    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') as logged


-- name: peer_tables
-- The tables of those who store rows among the peers of `coffee bench --peers`.
create table if not exists peer_insert (
    message_id uuid primary key,
    drink text not null,
    store text not null,
    price_cents integer not null,
    ordered_at timestamptz not null
);
create table if not exists peer_stream (like peer_insert including all)


-- name: peer_rows
-- Rows of the one whose consumer stores them.
select count(*) from peer_stream
