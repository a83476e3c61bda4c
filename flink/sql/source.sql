-- The log of orders as it is: text, where it lies, and when this job met it.
-- Always from the first order on; where a job continues, its checkpoint holds the offsets.
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
    'properties.max.poll.records' = '5000',
    'scan.startup.mode' = '{startup}',
    'scan.bounded.mode' = '{bounded}',
    'scan.topic-partition-discovery.interval' = '10 s',
    'format' = 'raw'
)
