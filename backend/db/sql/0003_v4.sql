-- v4's partition, and how far its workers have stored each partition of the topic: moved in the transaction that
-- stores the rows, so that both are of one moment.

create table orders_v4 partition of orders for values in ('v4');

-- Each transaction of a worker writes its lines anew: half of a page stays free, so that the new version has room
-- beside the old one and no index changes.
create table orders_v4_offsets (
    partition integer primary key,
    next_offset bigint not null default 0,
    records bigint not null default 0,
    duplicates bigint not null default 0,
    dead bigint not null default 0,
    doubts bigint not null default 0
) with (fillfactor = 50);

-- Ids that PostgreSQL has refused although they parse. An aggregator, which asks no table, has counted them and must
-- forget them again: such an order may come once more and be stored.
create table orders_v4_refused (
    message_id uuid primary key,
    forgotten boolean not null default false
);

comment on column orders_v4_offsets.partition is 'partition of the topic orders-v4';
comment on column orders_v4_offsets.next_offset is 'everything below has been stored, dropped or made a dead letter';
comment on column orders_v4_offsets.records is 'records read so far: rows, repeats and dead letters';
comment on column orders_v4_offsets.duplicates is 'records that repeated a stored order';
comment on column orders_v4_offsets.dead is 'records that could not be stored';
comment on column orders_v4_offsets.doubts is 'records not stored that an aggregator may have counted';
