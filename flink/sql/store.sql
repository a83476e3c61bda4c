-- Times travel as text, exact to the microsecond: no type of the connector keeps both zone and microseconds.
INSERT INTO stored_orders
SELECT
    '{pipeline}', message_id, drink, store, price_cents,
    CAST(TO_TIMESTAMP_LTZ(ordered_at_us / 1000, 3) AS STRING)
        || LPAD(CAST(MOD(ordered_at_us, 1000) AS STRING), 3, '0') || '+00',
    CAST(TO_TIMESTAMP_LTZ(accepted_at_us / 1000, 3) AS STRING)
        || LPAD(CAST(MOD(accepted_at_us, 1000) AS STRING), 3, '0') || '+00',
    CAST(`partition` AS STRING) || ':' || CAST(`offset` AS STRING)
FROM first_orders
