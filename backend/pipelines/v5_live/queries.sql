-- v5's statements: the API's, then the projector's, then those of the audit and the repair.


-- name: add
-- Orders, and what they add to the totals, in one transaction. A repeat of an order adds nothing to either: what is
-- added up is what was inserted. Returns the message ids of these, or null where all of them were.
-- $1 to $6: message id, drink, store, cents, time of order and of acceptance (µs since 1970), one array each.
-- $7: true where all add to the same rows, as a naive program does; else each connection has rows of its own.
-- Whoever adds does so under the row's lock: no order is lost whoever else adds to it, and the wait is all there is.
-- Inserted in the order of ids, and the totals in that of their key: two statements wait for each other never.
with added as (
    insert into orders (version, message_id, drink, store, price_cents, ordered_at, accepted_at, source_id)
    select
        'v5', message_id, drink, store, price_cents,
        'epoch'::timestamptz + ordered_us / 1000000 * interval '1 s' + ordered_us % 1000000 * interval '1 us',
        'epoch'::timestamptz + accepted_us / 1000000 * interval '1 s' + accepted_us % 1000000 * interval '1 us',
        ''
    from unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[])
        as given (message_id, drink, store, price_cents, ordered_us, accepted_us)


-- name: add_keep_first
-- Goes on with the statement above where orders may be repeats; of those whose message ids the API has just made one
-- that is there already refuses all. Looking for repeats takes 75 of 510 µs for 16 orders.
    order by message_id
    on conflict (version, message_id) do nothing


-- name: add_count
-- Its end.
    returning message_id, drink, store, price_cents, accepted_at
),

counted as (
    insert into v5_totals as kept (slot, drink, store, orders, cents, accepted_us)
    select
        case when $7::boolean then 0 else pg_backend_pid() % 32 + 1 end,
        coalesce(drink, ''), coalesce(store, ''),
        count(*), sum(price_cents), extract(epoch from sum(accepted_at - 'epoch'::timestamptz)) * 1000000
    from added
    group by grouping sets ((), (drink), (store))
    having count(*) > 0
    order by 2, 3
    on conflict (slot, drink, store) do update set
        orders = kept.orders + excluded.orders,
        cents = kept.cents + excluded.cents,
        accepted_us = kept.accepted_us + excluded.accepted_us
)

select case when count(*) < cardinality($1::uuid[]) then coalesce(array_agg(message_id), '{}') end from added


-- name: notify
-- Wake the projectors: by itself, never in the transaction of an order. Whoever notifies holds one lock of the whole
-- server until it is committed: with the fsync of an order in it, all orders would wait for one another.
notify v5_totals


-- name: contents
-- What was first ordered under these message ids, the time in microseconds since 1970. $1: message ids.
select message_id, drink, store, price_cents, (extract(epoch from ordered_at) * 1000000)::bigint
from orders
where version = 'v5' and message_id = any($1::uuid[])


-- name: name_session
-- The projector, to whoever looks at pg_stat_activity.
set application_name = 'live-projector'


-- name: kept_totals
-- The totals, each the sum of its rows, and the snapshot that they are of. The drink '' of the store '' is all orders.
-- Always returns a row: without totals its numbers are null.
with taken as (
    select pg_current_snapshot()::text as snapshot
),

summed as (
    select drink, store, sum(orders)::bigint as orders, sum(cents)::bigint as cents, sum(accepted_us) as accepted_us
    from v5_totals
    group by drink, store
)

select * from taken left join summed on true


-- name: rows_by_snapshot
-- Totals of the rows: of those that a snapshot has and of those that it has not, which are shown afterwards.
-- $1: the snapshot, or null: then nothing has been shown. It is read as select_status_by_snapshot does.
with now as (
    select
        pg_snapshot_xmax(pg_current_snapshot())::text::bigint as horizon,
        case when pg_snapshot_xmax($1::text::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot())
            then $1::text::pg_snapshot end as shown
)

select drink, store, shown, count(*) as orders, sum(price_cents)::bigint as cents
from (
    select
        drink, store, price_cents,
        coalesce(pg_visible_in_snapshot(
            (now.horizon - ((now.horizon - orders.xmin::text::bigint) & 4294967295))::text::xid8, now.shown
        ), false) as shown
    from orders, now
    where version = 'v5'
) as found
group by drink, store, shown


-- name: lock_repair
-- One repair at a time: two would both add the same difference. Released with the transaction.
select pg_advisory_xact_lock(hashtext('v5_totals'))


-- name: correct_totals
-- Add to the totals what the rows have beyond them, in rows of its own. In any snapshot the two agree unless somebody
-- has changed them by hand: orders that are committed meanwhile make no difference. Returns how many rows it took.
with difference as (
    select drink, store, sum(orders) as orders, sum(cents) as cents
    from (
        select coalesce(drink, '') as drink, coalesce(store, '') as store, count(*) as orders, sum(price_cents) as cents
        from orders
        where version = 'v5'
        group by grouping sets ((), (drink), (store))
        union all
        select drink, store, -orders, -cents
        from v5_totals
    ) as both_sides
    group by drink, store
    having sum(orders) <> 0 or sum(cents) <> 0
)

insert into v5_totals as kept (slot, drink, store, orders, cents, accepted_us)
select
    -1, drink, store, orders, cents,
    -- As if accepted now: orders that are only counted now say nothing about how late the dashboard is.
    orders * (extract(epoch from clock_timestamp()) * 1000000)::bigint
from difference
on conflict (slot, drink, store) do update set
    orders = kept.orders + excluded.orders,
    cents = kept.cents + excluded.cents,
    accepted_us = kept.accepted_us + excluded.accepted_us


-- name: end_listeners
-- End the sessions that wait for a NOTIFY of the totals, as a network does. Returns how many.
select count(pg_terminate_backend(pid))
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and application_name = 'live-projector'


-- name: size_of_totals
-- Bytes of the totals with their dead rows and their index.
select pg_total_relation_size('v5_totals')
