CREATE TEMPORARY VIEW valid_orders AS
SELECT
    message_id, drink, store,
    CAST(price_cents AS INT) AS price_cents,
    CAST(ordered_at_us AS BIGINT) AS ordered_at_us,
    CAST(accepted_at_us AS BIGINT) AS accepted_at_us,
    HASH_CODE(drink || ' ' || store || ' ' || price_cents || ' ' || ordered_at_us) AS content,
    `partition`, `offset`, met_at
FROM judged_orders
WHERE reason IS NULL
