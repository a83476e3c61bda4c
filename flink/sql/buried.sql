-- What becomes a dead letter: what cannot be stored, and another order under the message id of an earlier one.
CREATE TEMPORARY VIEW buried AS
SELECT reason, `partition`, `offset`, `value` FROM judged_orders WHERE reason IS NOT NULL
UNION ALL
SELECT
    'key-conflict', `partition`, `offset`,
    JSON_OBJECT(
        'message_id' VALUE message_id, 'drink' VALUE drink, 'store' VALUE store, 'price_cents' VALUE price_cents,
        'ordered_at_us' VALUE ordered_at_us, 'accepted_at_us' VALUE accepted_at_us
    )
FROM seen_orders
WHERE content <> first_content
