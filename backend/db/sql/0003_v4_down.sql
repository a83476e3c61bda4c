drop table orders_v4;
drop table orders_v4_offsets;
drop table orders_v4_refused;
