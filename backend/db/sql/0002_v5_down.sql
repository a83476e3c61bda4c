drop table v5_totals;
drop table orders_v5;
