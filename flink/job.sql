-- The Flink job of v3, from top to bottom: the log of orders is read, validated and deduplicated; the first order
-- of each message id is stored in PostgreSQL, what cannot be stored becomes a dead letter, and totals and windows
-- are kept in Flink's state and shown in Redis.
--
-- Tables and views are created first; the inserts are one job, in their order here. {placeholders} are filled in
-- by flink/statements.py. Flink knows the job's state by its graph, not by these names: to rename a view keeps
-- older checkpoints readable, to change what is grouped, joined or counted does not.


-- name: orders_log
-- The log of orders as it is: text, partition and offset, and when this job read it. Always from the first order
-- on; where a job continues, its checkpoint holds the offsets. Of transactions what was committed.
CREATE TEMPORARY TABLE orders_log (
    `value` STRING,
    `partition` INT METADATA VIRTUAL,
    `offset` BIGINT METADATA VIRTUAL,
    met_at AS PROCTIME()
) WITH (
    'connector' = 'kafka',
    'topic' = '{topic}',
    {kafka},
    'properties.group.id' = '{group}',
    'properties.fetch.min.bytes' = '1',
    'properties.isolation.level' = 'read_committed',
    'properties.max.poll.records' = '5000',
    'scan.startup.mode' = '{startup}',
    'scan.bounded.mode' = '{bounded}',
    'scan.topic-partition-discovery.interval' = '10 s',
    'format' = 'raw'
)


-- name: order_fields
-- The fields of each record. What the API writes has one form, which one regular expression matches; any other
-- JSON is read field by field.
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


-- name: validated_orders
-- Why an order cannot be stored, or NULL: as strict as the table's own checks, so that no row can loop the job.
CREATE TEMPORARY VIEW validated_orders AS
SELECT
    CASE
        WHEN is_canonical THEN CAST(NULL AS STRING)
        WHEN `value` IS NULL THEN 'the record has no value'
        -- IS JSON looks no further than the closing brace. What may follow it there in an array may not in an object.
        WHEN `value` IS NOT JSON OBJECT
            OR ('[' || `value` || ']') IS NOT JSON ARRAY
            OR NOT JSON_EXISTS('{"value":' || `value` || ',"end":0}', '$.end')
            THEN 'the value is no JSON object'
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
    -- One column: Flink evaluates an expression anew for each column that rests on it. Numbers in the one form that
    -- the API gives them: by it two orders are compared.
    CASE
        WHEN is_canonical THEN REGEXP_EXTRACT_ALL(`value`, '{field}', 1)
        ELSE ARRAY[
            message_id, drink, store, CAST(TRY_CAST(price_cents AS BIGINT) AS STRING),
            CAST(TRY_CAST(ordered_at_us AS BIGINT) AS STRING), accepted_at_us
        ]
    END AS fields,
    `value`, `partition`, `offset`, met_at
FROM order_fields


-- name: records
-- Every record of the log by the message id of its order; one that cannot be stored, by its partition and offset.
CREATE TEMPORARY VIEW records AS
SELECT
    CASE WHEN reason IS NULL THEN fields[1] ELSE CAST(`partition` AS STRING) || ':' || CAST(`offset` AS STRING) END
        AS message_id,
    fields[2] AS drink,
    fields[3] AS store,
    TRY_CAST(fields[4] AS INT) AS price_cents,
    TRY_CAST(fields[5] AS BIGINT) AS ordered_at_us,
    TRY_CAST(fields[6] AS BIGINT) AS accepted_at_us,
    HASH_CODE(fields[2] || ' ' || fields[3] || ' ' || fields[4] || ' ' || fields[5]) AS content,
    reason IS NULL AS is_order,
    `partition`, `offset`, met_at
FROM validated_orders


-- name: deduplicated_records
-- Each record compared with the first one of its message id: is it a repeat, or another order under the same id?
-- 32 bits of a hash are enough where the API has compared before. One state for repeats and conflicts; it forgets
-- an id after the horizon of the settings.
CREATE TEMPORARY VIEW deduplicated_records AS
SELECT
    *,
    is_order AND content = first_content AS is_valid,
    is_order AND occurrence = 1 AS is_first
FROM (
    SELECT *, COUNT(*) OVER same_id AS occurrence, FIRST_VALUE(content) OVER same_id AS first_content
    FROM records
    WINDOW same_id AS (PARTITION BY message_id ORDER BY met_at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)


-- name: first_orders
-- The first of all orders with one message id, in two halves: what has two inputs is a task of its own to Flink,
-- so the rows are written by a thread of their own, and the deduplication goes on while that one waits for
-- PostgreSQL.
CREATE TEMPORARY VIEW first_orders AS
SELECT message_id, drink, store, price_cents, ordered_at_us, accepted_at_us, `partition`, `offset`
FROM deduplicated_records
WHERE is_first AND MOD(`partition`, 2) = 0
UNION ALL
SELECT message_id, drink, store, price_cents, ordered_at_us, accepted_at_us, `partition`, `offset`
FROM deduplicated_records
WHERE is_first AND MOD(`partition`, 2) = 1


-- name: stored_orders
-- Our partition of the table of orders, itself: to find it anew for each row would take a tenth of PostgreSQL's
-- time. The sink knows one upsert, DO UPDATE; a trigger there keeps the first row. Rows follow what is shown by up
-- to 50 ms: fewer and larger commits leave the disk to the log of Redis, on which the dashboard waits.
CREATE TEMPORARY TABLE stored_orders (
    version STRING,
    message_id STRING,
    drink STRING,
    store STRING,
    price_cents INT,
    ordered_at STRING,
    accepted_at STRING,
    source_id STRING,
    PRIMARY KEY (version, message_id) NOT ENFORCED
) WITH (
    'connector' = 'jdbc',
    'url' = '{jdbc_url}',
    'username' = '{jdbc_user}',
    'password' = '{jdbc_password}',
    'table-name' = 'orders_{pipeline}',
    'sink.buffer-flush.max-rows' = '1024',
    'sink.buffer-flush.interval' = '50 ms',
    'sink.max-retries' = '5'
)


-- name: store_orders
-- Writes the first order of each message id to PostgreSQL. Times travel as text, exact to the microsecond: no type
-- of the connector keeps both zone and microseconds.
INSERT INTO stored_orders
SELECT
    '{pipeline}', message_id, drink, store, price_cents,
    CAST(TO_TIMESTAMP_LTZ(ordered_at_us / 1000, 3) AS STRING)
        || LPAD(CAST(MOD(ordered_at_us, 1000) AS STRING), 3, '0') || '+00',
    CAST(TO_TIMESTAMP_LTZ(accepted_at_us / 1000, 3) AS STRING)
        || LPAD(CAST(MOD(accepted_at_us, 1000) AS STRING), 3, '0') || '+00',
    CAST(`partition` AS STRING) || ':' || CAST(`offset` AS STRING)
FROM first_orders


-- name: dead_letters
-- Dead letters, keyed by partition and offset: after a restore one may be written again, under the same key.
CREATE TEMPORARY TABLE dead_letters (
    origin STRING,
    letter STRING
) WITH (
    'connector' = 'kafka',
    'topic' = '{dead_topic}',
    {kafka},
    'key.format' = 'raw',
    'key.fields' = 'origin',
    'value.format' = 'raw',
    'value.fields-include' = 'EXCEPT_KEY'
)


-- name: dead_letter_invalid
-- A record that cannot be stored becomes a dead letter.
INSERT INTO dead_letters
SELECT
    CAST(`partition` AS STRING) || ':' || CAST(`offset` AS STRING),
    JSON_OBJECT(
        'reason' VALUE reason, 'partition' VALUE `partition`, 'offset' VALUE `offset`,
        -- Escaped, a text may grow sixfold: a letter that the broker refuses as too large would loop the job.
        'text' VALUE SUBSTRING(`value`, 1, 100000) NULL ON NULL
    )
FROM validated_orders
WHERE reason IS NOT NULL


-- name: conflict_dead_letters
-- The same topic. With a table of its own each source of dead letters writes where it runs: no task waits for
-- both.
CREATE TEMPORARY TABLE conflict_dead_letters LIKE dead_letters


-- name: dead_letter_conflicts
-- So does another order under the message id of an earlier one.
INSERT INTO conflict_dead_letters
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
FROM deduplicated_records
WHERE is_order AND NOT is_valid


-- name: windowed_records
-- The window of each order, or NULL where it is late. It depends on the order's own times alone: neither a restart
-- nor a replay, neither an idle partition nor an order from the future changes it. The rule is that of
-- coffee_core/windows.py.
CREATE TEMPORARY VIEW windowed_records AS
SELECT *, CASE WHEN accepted_at_us < (start_s + {closed_after_s}) * 1000000 THEN start_s END AS window_s
FROM (
    SELECT *, (event_us - MOD(event_us, {window_s} * 1000000)) / 1000000 AS start_s
    FROM (SELECT *, LEAST(ordered_at_us, accepted_at_us) AS event_us FROM deduplicated_records)
)


-- name: counted
-- What the tally counts: orders once each, and beside them every valid record and every dead letter of the log.
CREATE TEMPORARY VIEW counted AS
SELECT
    CASE WHEN is_first THEN drink END AS drink,
    CASE WHEN is_first THEN store END AS store,
    CASE WHEN is_first THEN price_cents END AS price_cents,
    CASE WHEN is_first THEN CAST(accepted_at_us AS DECIMAL(20, 0)) END AS accepted_at_us,
    CASE WHEN is_first AND window_s IS NULL THEN store END AS late_store,
    CASE WHEN is_valid THEN 1 ELSE 0 END AS valid,
    CASE WHEN is_valid THEN 0 ELSE 1 END AS dead,
    MOD(`partition`, {lanes}) AS lane,
    CASE WHEN is_valid THEN accepted_at_us END AS reached_us
FROM windowed_records


-- name: tally
-- One row that holds every metric, so that Redis is written once a mini-batch and as a whole. The hint: without it
-- the tally would expire with the message ids and start again from 0.
CREATE TEMPORARY VIEW tally AS
SELECT /*+ STATE_TTL('counted' = '0s') */
{columns}
FROM counted


-- name: shown
-- Discards what the Redis function returns: it is called for its effect.
CREATE TEMPORARY TABLE shown (applied BIGINT) WITH ('connector' = 'blackhole')


-- name: show_tally
-- Writes the totals to Redis.
INSERT INTO shown SELECT show_in_redis({arguments}) FROM tally


-- name: windows
-- One row for each window, of which only those that a mini-batch has changed are written. The hint: a window takes
-- no more orders when it is closed, so its state need not stay for as long as the message ids.
CREATE TEMPORARY VIEW windows AS
SELECT /*+ STATE_TTL('windowed_records' = '2h') */
    window_s,
{window_columns}
FROM windowed_records
WHERE is_first AND window_s IS NOT NULL
GROUP BY window_s


-- name: shown_windows
-- The same for the function that shows windows: no two inserts share a table.
CREATE TEMPORARY TABLE shown_windows LIKE shown


-- name: show_windows
-- Writes the windows to Redis.
INSERT INTO shown_windows SELECT show_window_in_redis({window_arguments}) FROM windows
