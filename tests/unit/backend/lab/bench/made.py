"""A made-up run, small enough to know every figure of it."""

from typing import Any

from backend.lab.bench.figures import Better, Figures
from backend.lab.bench.result import Result
from coffee_core.pipelines import DEFAULT_PIPELINES

FACTS: dict[str, Any] = {
    "machine": {"system": "Linux x86_64", "cores": 2, "memory_bytes": 8_000_000_000, "python": "3.11.9"},
    "servers": {"postgres": "18.4", "redis": "9.1.2", "coffee_rt": "0.1.0"},
    "durability": {
        "synchronous_commit": "on",
        "fsync": "on",
        "appendonly": "yes",
        "appendfsync": "always",
        "kafka": "acks=all, idempotent producer",
    },
    "aggregator_interval_s": 10,
}
P99_MS = {"v1": (7_000, 9_000, 9_500), "v2": (8, 9, 60), "v3": (20, 21, 30)}


def result(**changes: Any) -> Result:
    """v2 is early below some 500 orders a second and v3 above; v1 is late, and cheapest."""
    figures = Figures()
    for pipeline, latencies in P99_MS.items():
        for rate, p99 in zip((20, 200, 1_000), latencies, strict=True):
            for kind, share in (("api", 0.1), ("dashboard", 1.0)):
                for factor in (0.95, 1.05):
                    name = f"{pipeline}.alone.{rate}.{kind}"
                    figures.add(f"{name}.p50", p99 * share * 400 * factor, "µs")
                    figures.add(f"{name}.p99", p99 * share * 1_000 * factor, "µs")
        figures.add(f"{pipeline}.recovery", latencies[0] / 1_000, "s")
    yardsticks = (("noop", 200, 12_000), ("starlette", 250, 9_000))
    for target, p50, rate in (*yardsticks, ("v1", 1_000, 3_600), ("v2", 400, 6_000), ("v3", 900, 5_000)):
        figures.add(f"{target}.closed.1.p50", p50, "µs")
        figures.add(f"{target}.closed.32.rate", rate, "/s", Better.HIGHER)
    for pipeline, cost, most in (("v1", 300, 2_000), ("v2", 450, 3_200), ("v3", 900, 2_000)):
        figures.add(f"{pipeline}.cost.cpu", cost, "s per million")
        for rate in (20, 200, 1_000):
            figures.add(f"{pipeline}.alone.{rate}.cpu", cost, "s per million")
        figures.add(f"{pipeline}.breakpoint", most, "/s", Better.HIGHER)
        figures.add(f"{pipeline}.own.memory", cost * 1e6, "bytes")
        figures.add(f"{pipeline}.own.parts", 5 if pipeline == "v3" else 1, "parts")
    figures.add("idle.memory", 1.5e9, "bytes")
    figures.add("after.memory", 2.1e9, "bytes")
    figures.add("ceiling.fsync.p50", 130, "µs")
    audit = {name: {"stored": 1_000, "lost": 0, "duplicated": 0, "drift": 0} for name in P99_MS}
    flow = {
        "v2": {
            "offered": [(0.0, 1), (4.0, 800)],
            "visible": [(0.0, 0), (1.9, 380), (3.1, 620), (4.1, 800)],
            "killed_s": 2.0,
            "part": "stream-worker",
        }
    }
    made = Result(
        size="quick",
        pipelines=DEFAULT_PIPELINES,
        rates=(20, 200, 1_000),
        complete=True,
        seconds=240,
        facts=FACTS,
        figures=figures,
        audit=audit,
        distributions={f"{name}.alone.200.api": [(0, 100.0), (50, 300.0), (99, 900.0)] for name in P99_MS},
        flow=flow,
        at="2026-01-15T10:00:00+00:00",
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made
