-- The fields of an order as text. What the API writes has one form, which one regular expression both checks and
-- takes apart; any other JSON goes the slow way by JSON_VALUE (five times the cost), and is judged further down.
CREATE TEMPORARY VIEW order_fields AS
SELECT
    REGEXP(`value`, '{canonical}') AS is_canonical,
    COALESCE(REGEXP_EXTRACT(`value`, '{canonical}', 1), LOWER(JSON_VALUE(`value`, '$.message_id'))) AS message_id,
    COALESCE(REGEXP_EXTRACT(`value`, '{canonical}', 2), JSON_VALUE(`value`, '$.drink')) AS drink,
    COALESCE(REGEXP_EXTRACT(`value`, '{canonical}', 3), JSON_VALUE(`value`, '$.store')) AS store,
    COALESCE(REGEXP_EXTRACT(`value`, '{canonical}', 4), JSON_VALUE(`value`, '$.price_cents')) AS price_cents,
    COALESCE(REGEXP_EXTRACT(`value`, '{canonical}', 5), JSON_VALUE(`value`, '$.ordered_at_us')) AS ordered_at_us,
    COALESCE(REGEXP_EXTRACT(`value`, '{canonical}', 6), JSON_VALUE(`value`, '$.accepted_at_us')) AS accepted_at_us,
    `value`, `partition`, `offset`, met_at
FROM orders_log
