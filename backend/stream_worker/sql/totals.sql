-- What the metrics must show as of a cut: rows whose entry had left the stream by then. $1-$2 is the highest entry
-- id of the cut, compared as two integers; $3 are the ids that were still in the stream, so not yet counted.
-- A row whose source_id is no entry id was not brought by the worker, but it is an order: it is shown.
select drink, store, count(*) as orders, sum(price_cents)::bigint as cents
from orders_v2
where case
    when source_id !~ '^[0-9]{1,18}-[0-9]{1,20}$' then true
    else
        (split_part(source_id, '-', 1)::bigint, split_part(source_id, '-', 2)::numeric) <= ($1::bigint, $2::numeric)
        and source_id <> all ($3::text[])
end
group by drink, store
