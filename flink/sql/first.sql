-- The first of all orders with one message id; the state forgets an id after the horizon of the settings.
CREATE TEMPORARY VIEW first_orders AS
SELECT message_id, drink, store, price_cents, ordered_at_us, accepted_at_us, `partition`, `offset`
FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY message_id ORDER BY met_at ASC) AS occurrence
    FROM valid_orders
)
WHERE occurrence = 1
