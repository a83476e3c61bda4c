-- One table of orders for all three pipelines. A pipeline has a partition of its own, so that nothing is shared
-- between them: no index page, no autovacuum, no statistics.

create table orders (
    version text not null,
    message_id uuid not null,
    drink text not null constraint orders_drink_on_menu check (drink in ('cappuccino', 'americano', 'latte')),
    store text not null
        constraint orders_store_on_menu check (store in ('uptown', 'downtown', 'central', 'southend')),
    price_cents integer not null
        constraint orders_price_cents_in_range check (price_cents between 1 and 1000000),
    ordered_at timestamptz not null,
    accepted_at timestamptz not null,
    -- clock_timestamp(), not now(): now() is the start of the transaction, and a worker that waits for a lock or
    -- inserts a big batch would claim to have stored its orders before it did.
    stored_at timestamptz not null default clock_timestamp(),
    source_id text not null,
    primary key (version, message_id)
) partition by list (version);

comment on column orders.version is 'pipeline: v1, v2 or v3';
comment on column orders.message_id is 'what makes a repeat a repeat: the client''s Idempotency-Key or a UUIDv7';
comment on column orders.price_cents is 'price in cents';
comment on column orders.ordered_at is 'when the customer ordered, by the client';
comment on column orders.accepted_at is 'when the API took it, by the API''s clock';
comment on column orders.stored_at is 'when the row was inserted, by the clock of PostgreSQL';
comment on column orders.source_id is 'where on its log the order was read: stream entry id, or partition:offset';

create table orders_v1 partition of orders for values in ('v1');
create table orders_v2 partition of orders for values in ('v2');
create table orders_v3 partition of orders for values in ('v3');

-- Flink's JDBC sink knows one upsert, ON CONFLICT … DO UPDATE, and repeats rows after a restore. The first row
-- stays: the trigger drops the update without an error, so no new row version is written either.
create function orders_keep_first() returns trigger language plpgsql as $$
begin
    return null;
end
$$;

create trigger orders_v3_keep_first before update on orders_v3
    for each row execute function orders_keep_first();
