-- name: count_rows
-- Rows of each pipeline, all of one moment.
select version, count(*) as rows from orders group by version


-- name: blocker
-- The session for which sessions that work on orders have waited for more than two seconds, and which waits for
-- none itself: the oldest of them. Its pid is 0 where it is a prepared transaction.
-- pg_inherits and not pg_partition_tree(): that would wait for the same lock.
with orders_tables as (
    select 'orders'::regclass::oid as relation
    union all
    select inhrelid from pg_inherits where inhparent = 'orders'::regclass
),

blocked as (
    select pid
    from pg_stat_activity
    where datname = current_database()
        and wait_event_type = 'Lock'
        and clock_timestamp() - query_start > interval '2 s'
        and pid in (select pid from pg_locks where relation in (select relation from orders_tables))
)

select
    blocking.pid,
    coalesce(nullif(session.application_name, ''), session.usename::text, 'unknown') as name,
    coalesce(session.state, 'unknown') as state,
    extract(epoch from clock_timestamp() - session.xact_start)::bigint as seconds
from (select distinct unnest(pg_blocking_pids(pid)) as pid from blocked) as blocking
left join pg_stat_activity as session on session.pid = blocking.pid
where blocking.pid not in (select pid from blocked)
order by session.xact_start
limit 1
