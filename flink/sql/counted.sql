-- What the tally counts: orders once each, and beside them every valid record and every dead letter of the log.
CREATE TEMPORARY VIEW counted AS
SELECT
    CASE WHEN occurrence = 1 THEN drink END AS drink,
    CASE WHEN occurrence = 1 THEN store END AS store,
    CASE WHEN occurrence = 1 THEN price_cents END AS price_cents,
    CASE WHEN occurrence = 1 THEN CAST(accepted_at_us AS DECIMAL(20, 0)) END AS accepted_at_us,
    CASE WHEN occurrence = 1 AND window_s IS NULL THEN store END AS late_store,
    CASE WHEN content = first_content THEN 1 ELSE 0 END AS valid,
    CASE WHEN content = first_content THEN 0 ELSE 1 END AS dead,
    MOD(`partition`, {lanes}) AS lane,
    accepted_at_us AS reached_us
FROM placed_orders
UNION ALL
SELECT
    CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS INT), CAST(NULL AS DECIMAL(20, 0)),
    CAST(NULL AS STRING), 0, 1, CAST(NULL AS INT), CAST(NULL AS BIGINT)
FROM judged_orders
WHERE reason IS NOT NULL
