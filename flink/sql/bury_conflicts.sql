-- So does another order under the message id of an earlier one.
INSERT INTO dead_conflicts
SELECT
    CAST(`partition` AS STRING) || ':' || CAST(`offset` AS STRING),
    JSON_OBJECT(
        'reason' VALUE 'key-conflict', 'partition' VALUE `partition`, 'offset' VALUE `offset`,
        -- As text: what JSON_OBJECT finds in its place would be an object inside an object.
        'text' VALUE SUBSTRING(JSON_OBJECT(
            'message_id' VALUE message_id, 'drink' VALUE drink, 'store' VALUE store, 'price_cents' VALUE price_cents,
            'ordered_at_us' VALUE ordered_at_us, 'accepted_at_us' VALUE accepted_at_us
        ), 1)
    )
FROM seen_records
WHERE is_order AND NOT is_valid
