"""v2: the worker that takes orders from the Redis stream to PostgreSQL and to the metrics."""
