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
