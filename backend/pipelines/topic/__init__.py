"""What the pipelines share whose log is a Kafka topic: ingest, length of the log, dead letters, poison."""
