-- The same topic. Of a table of its own each source of dead letters writes where it runs: no task waits for both.
CREATE TEMPORARY TABLE dead_conflicts LIKE dead_orders
