CREATE TEMPORARY TABLE warmed (`value` BIGINT) WITH ('connector' = 'blackhole')
