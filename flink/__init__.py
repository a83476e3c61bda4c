"""v3: the PyFlink job from Kafka to PostgreSQL and Redis, and the process that submits it."""
