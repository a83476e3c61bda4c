"""A load in words, and as JSON with a versioned schema."""

from collections.abc import Sequence
from typing import Any

from backend.lab.bench.load import Loaded
from backend.lab.bench.measured import Latency
from coffee_core.load.plan import Plan
from coffee_core.pipelines import INFO

SCHEMA = "coffee-load/1"


def as_json(loaded: Loaded, plan: Plan, clients: int, unmet: Sequence[str]) -> dict[str, Any]:
    """Return everything; latencies in µs, rates per second."""
    return {
        "schema": SCHEMA,
        "valid": not loaded.invalid,
        "invalid": loaded.invalid,
        "unmet": list(unmet),
        "seconds": plan.for_s,
        "clients": clients,
        "seed": plan.seed,
        "shape": {name: getattr(plan.shape, name) for name in plan.shape.__slots__},
        "pipelines": {str(pipeline): each.as_json() for pipeline, each in loaded.measured.items()},
        "notes": list(loaded.notes),
    }


def as_table(loaded: Loaded) -> list[str]:
    """Return lines for people."""
    rows = [["", "offered/s", "achieved/s", "refused", "unknown", "late", "p50", "p90", "p99", "max"]]
    for pipeline, each in loaded.measured.items():
        counts = [f"{each.offered_per_s:,.1f}", f"{each.achieved_per_s:,.1f}"]
        counts += [f"{count:,}" for count in (each.refused, each.unknown, each.late)]
        rows.append([f"{pipeline} {INFO[pipeline].title}: answer", *counts, *_latency(each.api)])
        rows.append(["    on the dashboard", *[""] * 5, *_latency(each.dashboard)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]
    reasons = [
        f"{pipeline}: {count:,} × {reason}"
        for pipeline, each in loaded.measured.items()
        for reason, count in sorted(each.reasons.items(), key=lambda item: -item[1])[:3]
    ]
    return [*lines, *reasons, *loaded.notes]


def _latency(latency: Latency) -> list[str]:
    return [duration(value) for value in (latency.p50, latency.p90, latency.p99, latency.max)]


def duration(value_us: float | None) -> str:
    """Return µs in the unit in which people read it."""
    if value_us is None:
        return "–"
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if value_us >= size:
            return f"{value_us / size:.3g} {unit}"
    return f"{value_us:.0f} µs"
