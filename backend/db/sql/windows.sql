-- Orders and cents of each store in the windows from $2 to $3 of version $1, and of those that came too late for one.
-- The rule is that of coffee_core/windows.py; $4 is the length of a window, $5 how long it stays open after its end.
SELECT
    late,
    CASE WHEN NOT late THEN extract(epoch FROM begins)::bigint END AS start_s,
    store,
    count(*) AS orders,
    sum(price_cents)::bigint AS revenue_cents
FROM (
    SELECT store, price_cents, begins, accepted_at >= begins + $4::interval + $5::interval AS late
    FROM (
        SELECT
            store, price_cents, accepted_at,
            date_bin($4::interval, least(ordered_at, accepted_at), 'epoch') AS begins
        FROM orders
        WHERE version = $1
    ) AS binned
) AS placed
WHERE late OR begins BETWEEN $2 AND $3
GROUP BY 1, 2, 3
