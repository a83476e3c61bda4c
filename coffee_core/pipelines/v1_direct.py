"""v1: the request commits the row; a cron adds up all rows now and then."""

from coffee_core.pipelines.declaration import Claims, Declaration, Repair, Service, Stage, Windows

DECLARATION = Declaration(
    name="v1",
    title="Direct",
    package="backend.pipelines.v1_direct",
    accepted_status=201,
    chain=(
        Stage("POST", ("cafe-order-api", "api")),
        Stage("PG", ("postgres",)),
        Stage("cron", ("cafe-order-aggregator", "aggregator"), periodic=True),
        Stage("Redis", ("redis",)),
    ),
    colour=0,
    services=(
        Service(
            "cafe-order-aggregator",
            "backend.pipelines.v1_direct.aggregator",
            also_with="reconcile_interval_s",
            short="cron",
        ),
    ),
    processor="cafe-order-aggregator",
    round_trips=4,  # the group before, its own; the scan, the write
    cost_label="cron",
    cost_parts=("cafe-order-aggregator",),
    windows=Windows.ROWS,
    repairs=frozenset({Repair.RECONCILE}),
    claims=Claims(
        api_response="~10-20ms",
        dashboard_latency="10-60s",
        delivery="Exactly-once",
        persistence="N/A",
        replay="N/A",
        downtime="N/A",
        aggregation="Batch (cron)",
        scalability="Single node",
    ),
)
