"""The figures on the screen as text, to be pasted elsewhere."""

from coffee_tui.data.snapshot import PipelineView, Snapshot
from coffee_tui.widgets.format import UNKNOWN, latency, money, rate


def summary(snapshot: Snapshot) -> str:
    """Return one line for each pipeline."""
    return "\n".join(_line(view) for view in snapshot.pipelines)


def _line(view: PipelineView) -> str:
    orders = UNKNOWN if view.orders is None else f"{view.orders:,}"
    return " · ".join(
        (
            f"{view.pipeline} {orders} orders",
            money(view.revenue_cents, 80),
            rate(view.rate),
            f"API p50 {latency(view.api.p50_us)} p99 {latency(view.api.p99_us)}",
            f"dashboard p50 {latency(view.dashboard.p50_us)} p99 {latency(view.dashboard.p99_us)}",
            view.sentence.text,
        )
    )
