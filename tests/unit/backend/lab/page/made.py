"""Verdicts of `coffee chaos`, made up."""

from typing import Any


def cell(fault: str, pipeline: str, **changes: Any) -> dict[str, Any]:
    """One fault and one pipeline, exact where nothing else is said."""
    return {
        "fault": fault,
        "pipeline": pipeline,
        "exact": True,
        "attempted": 900,
        "accepted": 890,
        "stored": 890,
        "lost": [],
        "duplicated": [],
        "unexplained": [],
        "refused": 10,
        "unknown": 0,
        "rejected": [],
        "drift": {"orders": 0, "revenue_cents": 0, "drinks": {}, "stores": {}},
        "visible_again_s": 0.8,
        "standstill_s": 0.7,
        "wrong": [],
        "notes": [],
        **changes,
    }


CELLS = [
    cell("kill-redis", "v2"),
    cell("kill-redis", "v3", visible_again_s=None),
    cell("freeze-postgres", "v1", visible_again_s=9.1, notes=["<b>1,204</b> orders & more were late"]),
    {
        "fault": "kill-kafka",
        "pipeline": "v4",
        "exact": True,
        "visible_again_s": 4.9,
        "standstill_s": 4.8,
        "sentence": "v4: lost 0",
    },
]
"""As of two runs, the last one without a load of its own."""
