-- What the tally counts: orders once each, and beside them every valid record and every dead letter of the log.
CREATE TEMPORARY VIEW counted AS
SELECT drink, store, price_cents, CAST(accepted_at_us AS DECIMAL(20, 0)) AS accepted_at_us, 0 AS valid, 0 AS dead
FROM first_orders
UNION ALL
SELECT
    CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS INT), CAST(NULL AS DECIMAL(20, 0)),
    CASE WHEN reason IS NULL THEN 1 ELSE 0 END, CASE WHEN reason IS NULL THEN 0 ELSE 1 END
FROM judged_orders
