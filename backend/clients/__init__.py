"""Connections to PostgreSQL, Redis and Kafka, and what every long-running process of the backend does alike."""
