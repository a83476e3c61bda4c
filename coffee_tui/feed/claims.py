"""The founding note's comparison, row by row: what is claimed, what can be measured, how to see the rest."""

from collections.abc import Callable
from dataclasses import dataclass

from coffee_core.pipelines import Pipeline
from coffee_tui.feed.snapshot import PipelineView, Quantiles


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of the comparison."""

    aspect: str
    """What is compared."""
    claimed: tuple[str, str, str]
    """What is claimed of v1, v2 and v3."""
    measured: Callable[[PipelineView], Quantiles | str] | None
    """What this dashboard has measured just now; None of a row that is a fact."""
    see: str
    """How to see it."""


def _shown(view: PipelineView) -> str:
    return "—" if view.rate is None else f"{view.rate:,.0f} orders/s shown"


def _audited(view: PipelineView) -> str:
    account = view.account
    if account is None:
        return "—"
    return f"lost {account.lost:,} · duplicated {account.duplicated:,} · drift {account.drift:,}"


def _logged(view: PipelineView) -> str:
    accepted = view.account.accepted if view.account else None
    return "—" if accepted is None else f"{accepted:,} {_LOGS[view.pipeline]}"


def _queued(view: PipelineView) -> str:
    waiting = sum(stage.waiting or 0 for stage in view.chain)
    return f"{waiting:,} queued · {view.sentence.text}" if waiting else view.sentence.text


_LOGS = {Pipeline.V1: "rows, no log", Pipeline.V2: "entries logged", Pipeline.V3: "records logged"}

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "API Response Time",
        ("~10-20ms", "~2-5ms", "~5-10ms"),
        lambda view: view.api,
        "space sends a load; the figures are of the last 10 s",
    ),
    Claim(
        "Dashboard Latency",
        ("10-60s", "~50-100ms", "~100ms"),
        lambda view: view.dashboard,
        "1, 2 and 3 send one order each: watch when its total moves",
    ),
    Claim(
        "Delivery Guarantee",
        ("Exactly-once", "At-least-once", "Exactly-once"),
        _audited,
        "x, kill-stream-worker: every order is compared with its row; in effect all three are exactly once",
    ),
    Claim(
        "Message Persistence",
        ("N/A", "Durable (Redis)", "Durable (Kafka)"),
        _logged,
        "x, kill-redis or kill-kafka; coffee down, then coffee up: every order and every total is there again",
    ),
    Claim(
        "Replay Capability",
        ("N/A", "Yes (pending)", "Yes (full history)"),
        None,
        "x, replay-v2: what a dead worker had in hand is handed on; x, replay-v3: the whole topic is counted anew",
    ),
    Claim(
        "Worker Downtime",
        ("N/A", "Messages queued", "Messages queued"),
        _queued,
        "x, freeze-stream-worker or kill-flink-taskmanager: orders are still accepted, then the backlog drains",
    ),
    Claim(
        "Aggregation",
        ("Batch (cron)", "Real-time (worker)", "Real-time (Flink)"),
        _shown,
        "b sends a burst: v1 moves at its next run, v2 and v3 at once",
    ),
    Claim(
        "Scalability",
        ("Single node", "Consumer groups", "Horizontally scalable"),
        None,
        "more stream workers share the group; COFFEE_FLINK_PARALLELISM spreads the job over the partitions",
    ),
)
"""Every row, in the order of the note."""
