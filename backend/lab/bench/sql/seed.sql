-- $1 rows of v1 as the API would have stored them an hour ago, marked as the bench's own.
insert into orders_v1 (version, message_id, drink, store, price_cents, ordered_at, accepted_at, stored_at, source_id)
select
    'v1',
    uuidv7(),
    (array['cappuccino', 'americano', 'latte'])[1 + number % 3],
    (array['uptown', 'downtown', 'central', 'southend'])[1 + number % 4],
    250 + number % 400,
    now() - interval '1 hour',
    now() - interval '1 hour',
    now() - interval '1 hour',
    'bench'
from generate_series(1, $1::integer) as number
