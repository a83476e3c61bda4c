-- Every record of the log, under the id of its order, or where there is none that can be stored, under its own place.
CREATE TEMPORARY VIEW records AS
SELECT
    CASE WHEN reason IS NULL THEN fields[1] ELSE CAST(`partition` AS STRING) || ':' || CAST(`offset` AS STRING) END
        AS message_id,
    fields[2] AS drink,
    fields[3] AS store,
    TRY_CAST(fields[4] AS INT) AS price_cents,
    TRY_CAST(fields[5] AS BIGINT) AS ordered_at_us,
    TRY_CAST(fields[6] AS BIGINT) AS accepted_at_us,
    HASH_CODE(fields[2] || ' ' || fields[3] || ' ' || fields[4] || ' ' || fields[5]) AS content,
    reason IS NULL AS is_order,
    `partition`, `offset`, met_at
FROM judged_orders
