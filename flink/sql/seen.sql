-- Beside each valid record what the first one under its message id said: 32 bits of a hash are enough where the API
-- has compared before. One state for repeats and conflicts; it forgets an id after the horizon of the settings.
CREATE TEMPORARY VIEW seen_orders AS
SELECT *, COUNT(*) OVER same_id AS occurrence, FIRST_VALUE(content) OVER same_id AS first_content
FROM valid_orders
WINDOW same_id AS (PARTITION BY message_id ORDER BY met_at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
