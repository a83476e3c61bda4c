"""v3: a Kafka topic in front; a Flink job stores each record and keeps the totals in its state."""

from coffee_core.keys import DEAD_TOPIC, FLINK_GROUP, TOPIC
from coffee_core.pipelines.declaration import (
    Claims,
    Declaration,
    Log,
    LogKind,
    Repair,
    Requirement,
    Stage,
    Windows,
)

DECLARATION = Declaration(
    name="v3",
    title="Kafka + Flink",
    package="backend.pipelines.v3_kafka",
    accepted_status=202,
    chain=(
        Stage("POST", ("cafe-order-api", "api")),
        Stage("Kafka", ("kafka",)),
        Stage("Flink", ("flink",)),
        Stage("PG, Redis", ("postgres", "redis")),
    ),
    colour=2,
    servers=("postgres", "redis", "kafka", "flink"),
    processor="flink-taskmanager",
    round_trips=5.5,  # the batch before, its own; a fetch; two writes of the sink
    cost_label="Kafka + Flink",
    cost_parts=("kafka", "flink"),
    log=Log(LogKind.TOPIC, TOPIC, DEAD_TOPIC, FLINK_GROUP, "records"),
    windows=Windows.REDIS,
    repairs=frozenset({Repair.RECONCILE, Repair.COMPARE, Repair.REPLAY, Repair.SAVEPOINT, Repair.DEAD_LETTERS}),
    claims=Claims(
        api_response="~5-10ms",
        dashboard_latency="~100ms",
        delivery="Exactly-once",
        persistence="Durable (Kafka)",
        replay="Yes (full history)",
        downtime="Messages queued",
        aggregation="Real-time (Flink)",
        scalability="Horizontally scalable",
    ),
    requires=(
        Requirement(
            "pyflink",
            "apache-flink",
            "install coffee-rt[lab]; for Linux on arm64 it has no wheel, and ./coffee builds it",
        ),
    ),
)
