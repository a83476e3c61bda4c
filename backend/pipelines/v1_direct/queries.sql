-- v1's statements: the aggregator's, then the API's inserts.


-- name: totals
-- Totals in one scan that PostgreSQL may run in parallel: orders and cents by drink, by store, and by how late the
-- order becomes visible (a bucket of the latency histogram; null where the previous run has shown it already).
-- $1: snapshot of the previous run, or null: then nothing has been shown yet, and every order is new.
-- $2: when that was taken; $3: µs until the result is expected in Redis.
-- Always returns a row, which carries the snapshot of this statement: without orders the rest of it is null.
with run as materialized (
    select
        pg_current_snapshot() as snapshot,
        pg_snapshot_xmax(pg_current_snapshot())::text::bigint as horizon,
        -- A snapshot from the future belongs to another cluster: then nothing is known of what has been shown.
        case when pg_snapshot_xmax($1::text::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot())
            then $1::text::pg_snapshot end as previous,
        -- A transaction takes an order from its insert to its commit in far less than this: what was stored
        -- before has been shown, and its transaction id need not be looked at.
        $2::timestamptz - interval '5 minutes' as known_until,
        clock_timestamp() + $3::bigint * interval '1 microsecond' as visible_at
),

groups as (
    select drink, store, bucket, count(*) as orders, sum(price_cents)::bigint as cents
    from (
        select
            drink,
            store,
            price_cents,
            case when (select previous from run) is null
                or stored_at >= (select known_until from run)
                -- xmin holds the lower 32 bits of the transaction id; the upper are those that put it below
                -- the horizon. A subtransaction's id is not in a snapshot: v1 inserts without savepoints.
                and not pg_visible_in_snapshot(
                    (
                        (select horizon from run)
                        - (((select horizon from run) - xmin::text::bigint) & 4294967295)
                    )::text::xid8,
                    (select previous from run)
                )
                then least(287, floor(8 * ln(greatest(
                    extract(epoch from (select visible_at from run) - accepted_at)::float8 * 1e6, 1
                )) / ln(2::float8)))::integer
            end as bucket
        from orders_v1
    ) as shown
    group by drink, store, bucket
)

select run.snapshot::text as snapshot, groups.*
from run left join groups on true


-- name: insert_order
-- One order. A repeat waits here for a concurrent first one to commit, and then adds nothing.
-- $1 to $6: message id, drink, store, cents, time of order and of acceptance.
-- Here and below, times come in microseconds since 1970. Whole seconds and the rest apart: an interval is multiplied
-- by a double, which is exact for each of the two up to the year 9999.
insert into orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
values (
    'v1', $1, $2, $3, $4,
    'epoch'::timestamptz + $5::bigint / 1000000 * interval '1 s' + $5::bigint % 1000000 * interval '1 us',
    'epoch'::timestamptz + $6::bigint / 1000000 * interval '1 s' + $6::bigint % 1000000 * interval '1 us',
    ''
)
on conflict (version, message_id) do nothing


-- name: insert_group
-- Orders whose message ids the API has just made: one of them that is there already refuses all.
-- $1 to $6: as of insert_order, one array each.
insert into orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
select
    'v1', message_id, drink, store, price_cents,
    'epoch'::timestamptz + ordered_us / 1000000 * interval '1 s' + ordered_us % 1000000 * interval '1 us',
    'epoch'::timestamptz + accepted_us / 1000000 * interval '1 s' + accepted_us % 1000000 * interval '1 us',
    ''
from unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[])
    as fresh (message_id, drink, store, price_cents, ordered_us, accepted_us)


-- name: insert_orders
-- A batch. In the order of their ids: two batches with common ids would otherwise wait for each other for ever.
-- $1 to $5: as of insert_order, one array each; $6: time of acceptance of all.
insert into orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
select
    'v1', message_id, drink, store, price_cents,
    'epoch'::timestamptz + ordered_us / 1000000 * interval '1 s' + ordered_us % 1000000 * interval '1 us',
    'epoch'::timestamptz + $6::bigint / 1000000 * interval '1 s' + $6::bigint % 1000000 * interval '1 us',
    ''
from unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::bigint[])
    as batch (message_id, drink, store, price_cents, ordered_us)
order by message_id
on conflict (version, message_id) do nothing


-- name: select_contents
-- What was first ordered under these message ids, the time in microseconds since 1970. $1: message ids.
-- Rows of earlier versions may have infinity for the last microsecond of the year 9999.
select
    message_id, drink, store, price_cents,
    (extract(epoch from least(ordered_at, '9999-12-31 23:59:59.999999+00')) * 1000000)::bigint
from orders
where version = 'v1' and message_id = any($1::uuid[])
