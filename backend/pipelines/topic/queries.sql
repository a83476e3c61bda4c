-- What the audits ask of the rows of a pipeline whose log is a topic.


-- name: look_up
-- For each record of a batch, in its order: the row under its message id, whose it is, whether its content agrees.
-- $1: version; then message ids, drinks, stores, cents, times of order in microseconds since 1970, places on the log.
-- Whole seconds and the rest apart: an interval is multiplied by a double, exact for each up to the year 9999.
select
    stored.source_id is not null as found,
    coalesce(stored.source_id = record.source_id, false) as own,
    coalesce(
        (stored.drink, stored.store, stored.price_cents, stored.ordered_at)
        = (
            record.drink, record.store, record.price_cents,
            'epoch'::timestamptz + record.ordered_us / 1000000 * interval '1 s'
            + record.ordered_us % 1000000 * interval '1 us'
        ), false
    ) as same
from unnest($2::uuid[], $3::text[], $4::text[], $5::integer[], $6::bigint[], $7::text[])
    with ordinality
    as record (message_id, drink, store, price_cents, ordered_us, source_id, place)
left join orders as stored on stored.version = $1 and stored.message_id = record.message_id
order by record.place


-- name: count_rows_below
-- How many rows have a place on the topic that lies below these bounds, or on none of these partitions.
-- $1: version; $2: partitions; $3: bounds.
select count(*)
from orders
left join unnest($2::integer[], $3::bigint[]) as bound (partition, below)
    on bound.partition = split_part(source_id, ':', 1)::integer
where version = $1
    and source_id ~ '^[0-9]{1,9}:[0-9]{1,18}$'
    and (bound.below is null or split_part(source_id, ':', 2)::bigint < bound.below)
