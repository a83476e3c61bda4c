-- Bytes of a partition with its index and overflow; bytes that the write-ahead log has grown to since it began.
select
    pg_total_relation_size($1::text::regclass) as kept,
    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') as logged
