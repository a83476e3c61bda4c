-- What several pipelines ask of the table: an order's status, windows, and the audit's sums of a partition.


-- name: select_status
-- One order of a pipeline with a log: where on the log it was read, and its times. $1: version; $2: message id.
select source_id, accepted_at, stored_at
from orders
where version = $1 and message_id = $2


-- name: select_order
-- One order as it is stored. $1: version; $2: message id.
select drink, store, price_cents, ordered_at, accepted_at, stored_at, source_id
from orders
where version = $1 and message_id = $2


-- name: select_status_by_snapshot
-- One order of a pipeline whose totals are those of a snapshot: whether that one has it, and its times.
-- $1: version; $2: message id; $3: the snapshot, or null where it is not known.
-- xmin holds the lower 32 bits of a transaction id; the upper are those that put it below the horizon. A row that is
-- frozen, or whose id no snapshot can know any more, is older than every run.
with now as (
    select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as horizon
)

select
    case
        when $3::text is null then null
        -- A snapshot from the future belongs to another cluster.
        when pg_snapshot_xmax($3::text::pg_snapshot)::text::bigint > now.horizon then null
        else pg_visible_in_snapshot(
            (now.horizon - ((now.horizon - orders.xmin::text::bigint) & 4294967295))::text::xid8,
            $3::text::pg_snapshot
        )
    end as shown,
    accepted_at,
    stored_at
from orders, now
where version = $1 and message_id = $2


-- name: windows
-- Orders and cents of each store in each window, and of those that came too late for one.
-- $1: version; $2 and $3: beginnings of the first and the last window; $4: length of a window; $5: how long it stays
-- open after its end. The rule is that of coffee_core/windows.py.
select
    late,
    case when not late then extract(epoch from begins)::bigint end as start_s,
    store,
    count(*) as orders,
    sum(price_cents)::bigint as revenue_cents
from (
    select store, price_cents, begins, accepted_at >= begins + $4::interval + $5::interval as late
    from (
        select
            store, price_cents, accepted_at,
            date_bin($4::interval, least(ordered_at, accepted_at), 'epoch') as begins
        from orders
        where version = $1
    ) as binned
) as windowed
where late or begins between $2 and $3
group by 1, 2, 3


-- name: stored_totals
-- Totals of one partition. $1: version.
select drink, store, count(*) as orders, sum(price_cents)::bigint as cents
from orders
where version = $1
group by drink, store


-- name: rows_of_same_source
-- Rows beyond the first of each entry of the log: an entry is one order. $1: version.
-- Sources that occur twice are looked for first: there are none, as a rule, and then nothing is sorted.
with repeated as (
    select source_id from orders where version = $1 group by source_id having count(*) > 1
)

select drink, store, count(*) as orders, sum(price_cents)::bigint as cents
from (
    select drink, store, price_cents, row_number() over (partition by source_id order by stored_at) as place
    from orders
    inner join repeated using (source_id)
    where version = $1
) as occurrence
where place > 1
group by drink, store


-- name: rows_of_same_content
-- Rows beyond the first of each order: the same drink, store, price and time of order under another id.
-- $1: version; $2: true where every order has a timestamp of its own; else only rows accepted in the same
-- microsecond, and not in one transaction, are the same order: a batch has one moment for all that is in it. Two keys
-- of clients are two orders even then, taken at once by two APIs: the ids that an API gives are of version 7.
select drink, store, sum(copies)::bigint as orders, sum(copies * price_cents)::bigint as cents
from (
    select
        drink, store, price_cents,
        count(*) - greatest(
            1, count(*) filter (where not $2::boolean and substr(message_id::text, 15, 1) <> '7')
        ) as copies
    from orders
    where version = $1
    group by drink, store, price_cents, ordered_at, case when not $2::boolean then accepted_at end
    having count(*) > 1 and ($2::boolean or min(age(xmin)) < max(age(xmin)))
) as repeated
where copies > 0
group by drink, store


-- name: count_unlogged
-- How many rows have a source that is no place on the pipeline's log. $1: version; $2: regular expression of a place.
select count(*) from orders where version = $1 and source_id !~ $2
