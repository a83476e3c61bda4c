-- Dead letters, keyed by where they come from: after a restore one may be written again, under the same key.
CREATE TEMPORARY TABLE dead_orders (
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
