"""The request commits the row, as in v1; ``toy-projector`` adds up all rows ten times a second and shows them."""

from coffee_core.pipelines.declaration import Claims, Declaration, Repair, Service, Stage

DECLARATION = Declaration(
    name="toy",
    title="Toy",
    package="tests.toy_pipeline",
    accepted_status=201,
    chain=(
        Stage("POST", ("cafe-order-api", "api")),
        Stage("PG", ("postgres",)),
        Stage("projector", ("toy-projector",)),
        Stage("Redis", ("redis",)),
    ),
    colour=5,
    services=(Service("toy-projector", "tests.toy_pipeline.projector"),),
    processor="toy-projector",
    cost_label="projector",
    cost_parts=("toy-projector",),
    repairs=frozenset({Repair.RECONCILE}),
    claims=Claims(dashboard_latency="~100ms", delivery="Exactly-once", aggregation="All rows, again and again"),
    schema="partition",
    default=False,
)
