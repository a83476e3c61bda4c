-- Rows beyond the first of each order: the same drink, store, price and time of order under another id.
-- $1: version; $2: true where every order has a timestamp of its own; else only rows accepted in the same
-- microsecond, and not in one transaction, are the same order: a batch has one moment for all that is in it.
select drink, store, sum(rows - 1)::bigint as orders, sum((rows - 1) * price_cents)::bigint as cents
from (
    select drink, store, price_cents, count(*) as rows
    from orders
    where version = $1
    group by drink, store, price_cents, ordered_at, case when not $2::boolean then accepted_at end
    having count(*) > 1 and ($2::boolean or min(age(xmin)) < max(age(xmin)))
) as repeated
group by drink, store
