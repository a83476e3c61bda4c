"""v5: the request commits the row and the totals with it; a projector shows them as soon as they are committed."""

from coffee_core.pipelines.declaration import Claims, Declaration, Repair, Service, Stage, Windows

DECLARATION = Declaration(
    name="v5",
    title="PostgreSQL live",
    package="backend.pipelines.v5_live",
    accepted_status=201,
    chain=(
        Stage("POST", ("cafe-order-api", "api")),
        Stage("PG", ("postgres",)),
        Stage("live", ("live-projector",)),
        Stage("Redis", ("redis",)),
    ),
    colour=4,
    services=(Service("live-projector", "backend.pipelines.v5_live.projector", short="live"),),
    processor="live-projector",
    round_trips=6.5,  # the group before, its own; NOTIFY; two turns of the projector
    cost_label="projector",
    cost_parts=("live-projector",),
    windows=Windows.ROWS,
    repairs=frozenset({Repair.RECONCILE}),
    claims=Claims(
        api_response="~10-20ms",
        dashboard_latency="NOTIFY does not scale",
        delivery="Exactly-once",
        persistence="N/A",
        replay="N/A",
        downtime="N/A",
        aggregation="In the transaction",
        scalability="Single node",
    ),
    variants={"hot": {"COFFEE_V5_TOTALS": "hot"}},
    default=False,
)
