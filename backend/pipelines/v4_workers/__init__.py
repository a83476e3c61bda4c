"""v4: an order is a record of a Kafka topic; workers of one group store it, and those of another count it."""
