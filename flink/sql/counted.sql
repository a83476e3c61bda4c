-- What the tally counts: orders once each, and beside them every valid record and every dead letter of the log.
CREATE TEMPORARY VIEW counted AS
SELECT
    CASE WHEN is_first THEN drink END AS drink,
    CASE WHEN is_first THEN store END AS store,
    CASE WHEN is_first THEN price_cents END AS price_cents,
    CASE WHEN is_first THEN CAST(accepted_at_us AS DECIMAL(20, 0)) END AS accepted_at_us,
    CASE WHEN is_first AND window_s IS NULL THEN store END AS late_store,
    CASE WHEN is_valid THEN 1 ELSE 0 END AS valid,
    CASE WHEN is_valid THEN 0 ELSE 1 END AS dead,
    MOD(`partition`, {lanes}) AS lane,
    CASE WHEN is_valid THEN accepted_at_us END AS reached_us
FROM placed_records
