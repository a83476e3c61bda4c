-- Our partition of the table of orders, itself: to find it anew for each row would take a tenth of PostgreSQL's time.
-- The sink knows one upsert, DO UPDATE; a trigger there keeps the first row. Rows follow what is shown by up to 50 ms:
-- fewer and larger commits leave the disk to the log of Redis, on which the dashboard waits.
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
