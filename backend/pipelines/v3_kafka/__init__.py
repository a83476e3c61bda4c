"""v3: an order is a record of a Kafka topic; the Flink job (``flink/``) stores it and shows it."""
