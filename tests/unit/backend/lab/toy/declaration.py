"""A pipeline that is not built in, with a stream of its own: what the lab knows of it is what it declares."""

from coffee_core.pipelines import Declaration, Log, LogKind, Service, Stage

DECLARATION = Declaration(
    name="toy",
    title="Toy",
    package="tests.unit.backend.lab.toy",
    accepted_status=202,
    chain=(Stage("POST", ("cafe-order-api",)), Stage("stream", ("redis",)), Stage("toy", ("toy-worker",))),
    colour=3,
    services=(Service("toy-worker", "toy.worker"), Service("toy-cleaner", "toy.cleaner")),
    processor="toy-worker",
    cost_parts=("toy-",),
    log=Log(LogKind.STREAM, "toy:stream", "toy:dead", "toy-workers", "entries"),
)
