drop table orders;
drop function orders_keep_first();
