-- The table as autovacuum leaves it before long: not a part of what is measured.
vacuum analyze orders_v1
