"""v4: a Kafka topic in front; workers of two groups, of which one stores each record and one counts it."""

from coffee_core.keys import AGGREGATOR_GROUP, WORKERS_DEAD_TOPIC, WORKERS_TOPIC
from coffee_core.pipelines.declaration import Claims, Declaration, Log, LogKind, Repair, Service, Stage

DECLARATION = Declaration(
    name="v4",
    title="Kafka + workers",
    package="backend.pipelines.v4_workers",
    accepted_status=202,
    chain=(
        Stage("POST", ("cafe-order-api", "api")),
        Stage("Kafka", ("kafka",)),
        Stage("workers", ("kafka-worker", "kafka-aggregator")),
        Stage("PG, Redis", ("postgres", "redis")),
    ),
    colour=3,
    servers=("postgres", "redis", "kafka"),
    services=(
        Service("kafka-worker", "backend.pipelines.v4_workers.worker"),
        Service("kafka-aggregator", "backend.pipelines.v4_workers.aggregator"),
    ),
    processor="kafka-aggregator",
    storer="kafka-worker",
    round_trips=5.5,  # the batch before, its own; a fetch; two scripts of the aggregator
    cost_label="Kafka + workers",
    cost_parts=("kafka", "kafka-worker", "kafka-aggregator"),
    log=Log(LogKind.TOPIC, WORKERS_TOPIC, WORKERS_DEAD_TOPIC, AGGREGATOR_GROUP, "records"),
    repairs=frozenset({Repair.RECONCILE, Repair.REPLAY, Repair.DEAD_LETTERS}),
    claims=Claims(
        api_response="~5-10ms",
        dashboard_latency="~100ms",
        delivery="At-least-once",
        persistence="Durable (Kafka)",
        replay="Yes (full history)",
        downtime="Messages queued",
        aggregation="Real-time (workers)",
        scalability="Consumer groups",
    ),
    default=False,
)
