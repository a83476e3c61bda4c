-- v5: its orders, and the totals that the transaction of each order keeps.

create table orders_v5 partition of orders for values in ('v5');

-- A row for all orders (drink and store ''), one for each drink and one for each store; and that for each slot: a
-- total is the sum over the slots, so that connections which add at once need not wait for one another.
-- Rows are updated in place as long as a page has room (heap-only tuples: no indexed column changes), and what is
-- dead is pruned by whoever comes by: half of each page is left for that. A snapshot that somebody holds forbids it.
create table v5_totals (
    slot integer not null,
    drink text not null,
    store text not null,
    orders bigint not null,
    cents bigint not null,
    accepted_us numeric not null,
    primary key (slot, drink, store)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

comment on column v5_totals.slot is 'whose row it is: 0 everybody''s, -1 that of repairs, else a connection''s';
comment on column v5_totals.accepted_us is 'sum of when the API took them, microseconds since 1970';
