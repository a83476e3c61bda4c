-- Rows whose place on the topic lies below these bounds, or on none of these partitions. $1: partitions; $2: bounds.
select count(*)
from orders
left join unnest($1::integer[], $2::bigint[]) as bound (partition, below)
    on bound.partition = split_part(source_id, ':', 1)::integer
where version = 'v3'
    and source_id ~ '^[0-9]{1,9}:[0-9]{1,18}$'
    and (bound.below is null or split_part(source_id, ':', 2)::bigint < bound.below)
