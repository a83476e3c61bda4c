"""The order panel: where load goes, how much, what became of it, and the last order of each key."""

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from coffee_core.pipelines import Pipeline
from coffee_tui.feed.orders_view import KeyOrder, OrdersView
from coffee_tui.theme import ACCENT, AMBER, DIM, GREY, GROUND, RED, TEXT
from coffee_tui.widgets.text import clip, latency, rate, step

_WIDE = 110
_OUTCOME = {
    "": ("…", GREY, "on its way"),
    "acknowledged": ("✓", TEXT, "accepted"),
    "refused": ("×", RED, "refused"),
    "rejected": ("×", RED, "rejected"),
    "unknown": ("?", AMBER, "outcome unknown"),
}


class OrdersPanel(Widget):
    """Three rows."""

    DEFAULT_CSS = "OrdersPanel { text-wrap: nowrap; text-overflow: clip; height: 3; padding: 0 1; }"

    orders: reactive[OrdersView] = reactive(OrdersView())
    """What to show."""

    def __init__(self, pipelines: tuple[Pipeline, ...]) -> None:
        super().__init__()
        self.border_title = "Orders"
        self._pipelines = pipelines

    def render(self) -> Text:
        """Draw the load, its outcomes, and the orders by key."""
        view, wide = self.orders, self.size.width >= _WIDE
        rows = [self._load(view, wide), _outcomes(view, wide), self._keys(view)]
        return Text("\n", no_wrap=True, overflow="crop", end="").join(rows)

    def _load(self, view: OrdersView, wide: bool) -> Text:
        row = Text("● ", TEXT).append("running", f"bold {TEXT}") if view.running else Text("○ stopped", GREY)
        row.append("   into " if wide else " ", GREY)
        for pipeline in self._pipelines:
            chosen = pipeline in view.pipelines
            row.append(f" {pipeline} ", f"bold {GROUND} on {ACCENT[pipeline]}" if chosen else DIM).append(
                " " if wide else ""
            )
        row.append(f"{step(view.rate_per_s):>7}/s each", f"bold {TEXT}" if view.running else GREY)
        if view.trouble:
            return row.append(f"   × {view.trouble}", RED)
        for label, per_s in (("offered", view.offered_per_s), ("answered", view.answered_per_s)):
            row.append(f"{'   ' if wide else '  '}{label}", GREY).append(f"{rate(per_s):>8}", TEXT)
        if wide and view.burst:
            row.append("   last burst ", GREY).append(view.burst, TEXT)
        return row

    def _keys(self, view: OrdersView) -> Text:
        if not view.keys:
            return Text("no order by key yet: 1 2 3 send one, a sends one into each", DIM)
        width = self.size.width // len(self._pipelines)
        row = Text()
        for pipeline in self._pipelines:
            order = next((one for one in view.keys if one.pipeline is pipeline), None)
            cell = _key(order) if order else Text()
            cell.truncate(width - 2, overflow="ellipsis")
            row.append(cell).append(" " * (width - cell.cell_len))
        return row


def _outcomes(view: OrdersView, wide: bool) -> Text:
    figures = (
        ("sent", "sent", view.sent, TEXT),
        ("acknowledged", "ok", view.acknowledged, TEXT),
        ("refused", "refused", view.refused, RED),
        ("rejected", "4xx", view.rejected, TEXT),
        ("outcome unknown", "unknown", view.unknown, AMBER),
        ("late", "late", view.late, AMBER),
        ("in flight", "open", view.in_flight, TEXT),
    )
    row = Text()
    for long, short, count, colour in figures:
        row.append(f"{long if wide else short} ", GREY)
        row.append(f"{count:,}".ljust(8 if wide else 6), colour if count else GREY)
    return row


def _key(order: KeyOrder) -> Text:
    glyph, colour, word = _OUTCOME[order.outcome]
    cell = Text(f"{order.pipeline} ", ACCENT[order.pipeline]).append(f"{glyph} {word}", colour)
    if order.status is not None:
        cell.append(f" {order.status}", f"bold {colour}")
    if order.reason:
        return cell.append(f" {clip(order.reason, 120)}", colour)
    if order.outcome:
        cell.append(f" {latency(order.latency_us)}", TEXT)
    return cell.append(f" {order.what}", GREY)
