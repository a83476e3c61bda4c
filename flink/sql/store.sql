-- Times travel as text, exact to the microsecond: no type of the connector keeps both zone and microseconds.
INSERT INTO stored_orders
SELECT
    '{pipeline}', message_id, drink, store, price_cents,
    SUBSTRING(CAST(TO_TIMESTAMP_LTZ(ordered_at_us / 1000000, 0) AS STRING), 1, 19)
        || '.' || LPAD(CAST(MOD(ordered_at_us, 1000000) AS STRING), 6, '0') || '+00',
    SUBSTRING(CAST(TO_TIMESTAMP_LTZ(accepted_at_us / 1000000, 0) AS STRING), 1, 19)
        || '.' || LPAD(CAST(MOD(accepted_at_us, 1000000) AS STRING), 6, '0') || '+00',
    CAST(`partition` AS STRING) || ':' || CAST(`offset` AS STRING)
FROM first_orders
