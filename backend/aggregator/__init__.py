"""v1: the aggregator that recomputes the metrics from PostgreSQL on a schedule."""
