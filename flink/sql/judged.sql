-- Why an order cannot be stored, or NULL: as strict as the table's own checks, so that no row can loop the job.
CREATE TEMPORARY VIEW judged_orders AS
SELECT
    CASE
        WHEN is_canonical THEN CAST(NULL AS STRING)
        WHEN `value` IS NULL THEN 'the record has no value'
        -- IS JSON looks no further than the closing brace.
        WHEN `value` IS NOT JSON OBJECT OR NOT REGEXP(`value`, '\}\s*\z') THEN 'the value is no JSON object'
        WHEN message_id IS NULL OR NOT REGEXP(message_id, '{uuid}') THEN 'message_id: is no UUID'
        WHEN drink IS NULL OR drink NOT IN ({drinks}) THEN 'drink: is not on the menu'
        WHEN store IS NULL OR store NOT IN ({stores}) THEN 'store: is none of ours'
        WHEN price_cents IS NULL OR NOT REGEXP(price_cents, '{digits}')
            OR CAST(price_cents AS BIGINT) NOT BETWEEN 1 AND {max_price_cents}
            THEN 'price_cents: must be a whole number from 1 to {max_price_cents}'
        WHEN ordered_at_us IS NULL OR NOT REGEXP(ordered_at_us, '{digits}')
            OR CAST(ordered_at_us AS BIGINT) > {max_time_us}
            THEN 'ordered_at_us: must be a whole number from 0 to {max_time_us}'
        WHEN accepted_at_us IS NULL OR NOT REGEXP(accepted_at_us, '{digits}')
            OR CAST(accepted_at_us AS BIGINT) > {max_time_us}
            THEN 'accepted_at_us: must be a whole number from 0 to {max_time_us}'
    END AS reason,
    -- One column: Flink evaluates an expression anew for each column that rests on it.
    CASE
        WHEN is_canonical THEN REGEXP_EXTRACT_ALL(`value`, '{field}', 1)
        ELSE ARRAY[message_id, drink, store, price_cents, ordered_at_us, accepted_at_us]
    END AS fields,
    `value`, `partition`, `offset`, met_at
FROM order_fields
