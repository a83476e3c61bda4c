"""v2: a Redis stream in front; workers store each entry and count it at once."""

from coffee_core.keys import DEAD_STREAM, STREAM, STREAM_GROUP
from coffee_core.pipelines.declaration import Claims, Declaration, Log, LogKind, Repair, Service, Stage

DECLARATION = Declaration(
    name="v2",
    title="Streams",
    package="backend.pipelines.v2_streams",
    accepted_status=202,
    chain=(
        Stage("POST", ("cafe-order-api", "api")),
        Stage("stream", ("redis",)),
        Stage("worker", ("stream-worker",)),
        Stage("PG, Redis", ("postgres", "redis")),
    ),
    colour=1,
    services=(Service("stream-worker", "backend.pipelines.v2_streams.worker", short="worker"),),
    processor="stream-worker",
    round_trips=6.5,  # XADD; the batch before; read, INSERT, read back, script
    cost_label="worker",
    cost_parts=("stream-worker",),
    log=Log(LogKind.STREAM, STREAM, DEAD_STREAM, STREAM_GROUP, "entries"),
    repairs=frozenset({Repair.RECONCILE, Repair.NEW_BALANCE, Repair.REPLAY, Repair.DEAD_LETTERS}),
    claims=Claims(
        api_response="~2-5ms",
        dashboard_latency="~50-100ms",
        delivery="At-least-once",
        persistence="Durable (Redis)",
        replay="Yes (pending)",
        downtime="Messages queued",
        aggregation="Real-time (worker)",
        scalability="Consumer groups",
    ),
)
