-- Away with the bench's own partition.
drop table if exists orders_bench
