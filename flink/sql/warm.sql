INSERT INTO warmed SELECT warm_up(CAST(`value` AS BIGINT)) FROM (VALUES {rows}) AS slots(`value`)
