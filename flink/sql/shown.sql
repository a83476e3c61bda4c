-- What the Redis function returns is nobody's: it is called for its effect.
CREATE TEMPORARY TABLE shown (applied BIGINT) WITH ('connector' = 'blackhole')
