-- Totals of one partition. $1: version.
select drink, store, count(*) as orders, sum(price_cents)::bigint as cents
from orders
where version = $1
group by drink, store
