-- One order of v1, whether the snapshot of the aggregator's last run ($2, or null) has it, and its times.
-- xmin holds the lower 32 bits of a transaction id; the upper are those that put it below the horizon. A row that is
-- frozen, or whose id no snapshot can know any more, is older than every run.
WITH now AS (
    SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS horizon
)
SELECT
    CASE
        WHEN $2::text IS NULL THEN NULL
        -- A snapshot from the future belongs to another cluster.
        WHEN pg_snapshot_xmax($2::text::pg_snapshot)::text::bigint > now.horizon THEN NULL
        ELSE pg_visible_in_snapshot(
            (now.horizon - ((now.horizon - orders.xmin::text::bigint) & 4294967295))::text::xid8,
            $2::text::pg_snapshot
        )
    END AS shown,
    accepted_at,
    stored_at
FROM orders, now
WHERE version = 'v1' AND message_id = $1
