-- What the API writes has one form, known by one regular expression. The fields of any other JSON are read one by one.
CREATE TEMPORARY VIEW order_fields AS
SELECT
    REGEXP(`value`, '{canonical}') AS is_canonical,
    LOWER(JSON_VALUE(`value`, '$.message_id')) AS message_id,
    JSON_VALUE(`value`, '$.drink') AS drink,
    JSON_VALUE(`value`, '$.store') AS store,
    JSON_VALUE(`value`, '$.price_cents') AS price_cents,
    JSON_VALUE(`value`, '$.ordered_at_us') AS ordered_at_us,
    JSON_VALUE(`value`, '$.accepted_at_us') AS accepted_at_us,
    `value`, `partition`, `offset`, met_at
FROM orders_log
