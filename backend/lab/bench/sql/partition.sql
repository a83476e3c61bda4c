-- A partition of the orders' own table for the ceiling of bulk INSERTs: same columns, checks and key; no pipeline's.
create table if not exists orders_bench partition of orders for values in ('bench')
