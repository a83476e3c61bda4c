-- Beside each record what the first one under its message id said: 32 bits of a hash are enough where the API has
-- compared before. One state for repeats and conflicts; it forgets an id after the horizon of the settings.
CREATE TEMPORARY VIEW seen_records AS
SELECT
    *,
    is_order AND content = first_content AS is_valid,
    is_order AND occurrence = 1 AS is_first
FROM (
    SELECT *, COUNT(*) OVER same_id AS occurrence, FIRST_VALUE(content) OVER same_id AS first_content
    FROM records
    WINDOW same_id AS (PARTITION BY message_id ORDER BY met_at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
