"""The order panel: where load goes, how much, what became of it, and the last order of each key."""

from rich.text import Text
from textual.reactive import reactive

from coffee_core.pipelines import Pipeline
from coffee_tui.feed.orders_view import OrdersView
from coffee_tui.theme import ACCENT, AMBER, DIM, GREY, GROUND, RED, TEXT
from coffee_tui.widgets.key_order import keys_row
from coffee_tui.widgets.lines import Lines
from coffee_tui.widgets.plan_row import plan_row
from coffee_tui.widgets.text import rate

_WIDE = 110
_MIDDLE = 76
_WELCOME = (
    ("1 2 3", "send one order into v1, v2, v3: see whose total moves first"),
    ("space", "starts and stops a stream of orders, + and - change its rate, g its shape and mix"),
    ("?", "shows every key, q ends it"),
)
"""What to press, while nobody has pressed anything yet."""


class OrdersPanel(Lines):
    """Three rows; a fourth for the chosen load where there is room. A click opens its settings."""

    DEFAULT_CSS = "OrdersPanel { height: 3; padding: 0 1; }"

    orders: reactive[OrdersView] = reactive(OrdersView(), repaint=False)
    """What to show."""

    def __init__(self, pipelines: tuple[Pipeline, ...], *, welcome: bool = False) -> None:
        super().__init__()
        self._welcome = welcome
        self.border_title = "Orders"
        self._pipelines = pipelines

    def watch_orders(self) -> None:
        """Draw again what has changed."""
        self.redraw()

    def lines(self, width: int) -> list[Text]:
        """Return the load, its outcomes, and the orders by key."""
        view, wide = self.orders, width >= _WIDE
        self._welcome = self._welcome and not (view.keys or view.sent or view.running or view.trouble)
        if self._welcome:
            return [Text(f"{keys:>7}  ", f"bold {AMBER}").append(what, TEXT) for keys, what in _WELCOME]
        rows = [self._load(view, wide), _outcomes(view, width), self._keys(view)]
        if self.size.height > len(rows):
            rows.insert(1, plan_row(view.plan, width))
        return rows

    async def on_click(self) -> None:
        """Open the load's settings."""
        await self.screen.run_action("plan")

    def _load(self, view: OrdersView, wide: bool) -> Text:
        row = Text("● ", TEXT).append("running", f"bold {TEXT}") if view.running else Text("○ stopped", GREY)
        row.append("   into " if wide else " ", GREY)
        for pipeline in self._pipelines:
            chosen = pipeline in view.plan.pipelines
            row.append(f" {pipeline} ", f"bold {GROUND} on {ACCENT[pipeline]}" if chosen else DIM).append(
                " " if wide else ""
            )
        row.append(f"  {view.plan.in_words()}", f"bold {TEXT}" if view.running else GREY)
        if view.trouble:
            row.append(f"   × {view.trouble}", RED).truncate(self.size.width, overflow="ellipsis")
            return row
        rates = (("offered", view.offered_per_s), ("answered", view.answered_per_s))
        for label, per_s in rates if self.size.width >= _MIDDLE else rates[1:]:
            said = rate(per_s)
            room = self.size.width - row.cell_len - len(label) - 2
            if room > len(said):
                row.append(f"{'   ' if wide else '  '}{label}", GREY).append(said.rjust(min(8, room)), TEXT)
        burst = Text("   last burst ", GREY).append(view.burst, TEXT)
        if view.burst and row.cell_len + burst.cell_len <= self.size.width:
            row.append(burst)
        return row

    def _keys(self, view: OrdersView) -> Text:
        if not view.keys:
            return Text("no order by key yet: 1 2 3 send one, a sends one into each", DIM)
        return keys_row(view.keys, self.size.width)


def _outcomes(view: OrdersView, width: int) -> Text:
    figures = (
        ("sent", "sent", view.sent, TEXT),
        ("acknowledged", "ok", view.acknowledged, TEXT),
        ("refused", "refused", view.refused, RED),
        ("rejected", "4xx", view.rejected, TEXT),
        ("outcome unknown", "unknown", view.unknown, AMBER),
        ("late", "late", view.late, AMBER),
        ("in flight", "open", view.in_flight, TEXT),
    )
    row, wide = Text(), width >= _WIDE
    for long, short, count, colour in figures:
        label, number = f"{long if wide else short} ", f"{count:,}".ljust(8 if wide else 7)
        if row.cell_len + len(label) + len(number.rstrip()) <= width:
            row.append(label, GREY).append(number, colour if count else GREY)
    return row
