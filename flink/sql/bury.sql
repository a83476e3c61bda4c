INSERT INTO dead_orders
SELECT
    CAST(`partition` AS STRING) || ':' || CAST(`offset` AS STRING),
    JSON_OBJECT(
        'reason' VALUE reason, 'partition' VALUE `partition`, 'offset' VALUE `offset`, 'text' VALUE `value` NULL ON NULL
    )
FROM judged_orders
WHERE reason IS NOT NULL
