-- For each entry of a batch, in its order: is the stored row its own, and does it say the same?
-- A statement of its own after the commit: within the insert's snapshot, a row that another worker has just
-- committed cannot be seen.
select
    stored.source_id is not null as found,
    stored.source_id = entry.source_id as own,
    (stored.drink, stored.store, stored.price_cents, extract(epoch from stored.ordered_at) * 1000000)
    = (entry.drink, entry.store, entry.price_cents, entry.ordered_us) as same
from unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[], $7::text[])
    with ordinality
    as entry (message_id, drink, store, price_cents, ordered_us, accepted_us, source_id, place)
left join orders_v2 as stored on stored.version = 'v2' and stored.message_id = entry.message_id
order by entry.place
