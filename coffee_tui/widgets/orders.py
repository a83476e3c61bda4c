"""The order panel: where load goes, how much, what became of it, and the last order of each key."""

import math
from collections.abc import Iterable, Sequence

from rich.text import Text
from textual.reactive import reactive

from coffee_core.pipelines import PIPELINES, Pipeline
from coffee_tui.data.load_plan import RATES, LoadPlan, Weights
from coffee_tui.data.snapshot import KeyOrder, OrdersView
from coffee_tui.keymap import named
from coffee_tui.theme import ACCENT, AMBER, DIM, GREY, GROUND, RED, TEXT
from coffee_tui.widgets.format import latency, rate
from coffee_tui.widgets.rows import RowsWidget

_OUTCOME = {
    "": ("…", GREY, "on its way"),
    "acknowledged": ("✓", TEXT, "accepted"),
    "refused": ("×", RED, "refused"),
    "rejected": ("×", RED, "rejected"),
    "unknown": ("?", AMBER, "outcome unknown"),
}
_BETWEEN_ORDERS = 3
_WORTH = 8
"""Cells from which on a cut text still means something."""
_LOW, _HIGH = RATES[0], RATES[-1]
_MOST_CELLS = 40
_GAP = "   "
_WIDE = 110
_MIDDLE = 76


def order_key(pipeline: Pipeline) -> str:
    """Return the key that sends one order into a pipeline."""
    return str(PIPELINES.index(pipeline) + 1)


def order_keys(pipelines: Iterable[Pipeline]) -> list[str]:
    """Return the actions that send one order, for ``named`` to put their keys in: ``1``, ``2``, ``3``."""
    return [f"{{order-{pipeline}}}" for pipeline in pipelines]


_WELCOME = (
    (
        "{load}",
        "starts and stops a stream of orders, {more} and {fewer} change its rate, {settings} its shape and mix",
    ),
    ("{help}", "shows every key, {quit} ends it"),
)
"""What to press, while nobody has pressed anything yet."""


class OrdersPanel(RowsWidget):
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

    def rows(self, width: int) -> list[Text]:
        """Return the load, its outcomes, and the orders by key."""
        view, wide = self.orders, width >= _WIDE
        self._welcome = self._welcome and not (view.keys or view.sent or view.running or view.trouble)
        if self._welcome:
            each = f"send one order into {', '.join(self._pipelines)}: see whose total moves first"
            lines = ((" ".join(order_keys(self._pipelines)), each), *_WELCOME)
            named_lines = [(named(self, keys), named(self, what)) for keys, what in lines]
            return [Text(f"{keys:>7}  ", f"bold {AMBER}").append(what, TEXT) for keys, what in named_lines]
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
            figure = rate(per_s)
            room = self.size.width - row.cell_len - len(label) - 2
            if room > len(figure):
                row.append(f"{'   ' if wide else '  '}{label}", GREY).append(figure.rjust(min(8, room)), TEXT)
        burst = Text("   last burst ", GREY).append(view.burst, TEXT)
        if view.burst and row.cell_len + burst.cell_len <= self.size.width:
            row.append(burst)
        return row

    def _keys(self, view: OrdersView) -> Text:
        if not view.keys:
            keys = " ".join(order_keys(self._pipelines))
            return Text(
                named(self, f"no order by key yet: {keys} send one, {{order-all}} sends one into each"), DIM
            )
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


def plan_row(plan: LoadPlan, width: int) -> Text:
    """Return the chosen load in at most ``width`` cells: its rate on a scale, its shares, its mix.

    What has no room is in the form.
    """
    pieces = [
        _piece(("repeats", _share(plan.repeats)), ("malformed", _share(plan.malformed))),
        _piece(("drinks", _mix(plan.drinks))),
        _piece(("stores", _mix(plan.stores))),
    ]
    row = _scale(plan.rate_per_s, min(_MOST_CELLS, max(10, width // 5)))
    for piece in pieces:
        if row.cell_len + len(_GAP) + piece.cell_len > width:
            break
        row.append(_GAP).append(piece)
    return row


def _scale(rate_per_s: float, cells: int) -> Text:
    share = math.log(max(_LOW, rate_per_s) / _LOW) / math.log(_HIGH / _LOW)
    at = round(min(1.0, share) * (cells - 1))
    row = Text(f"rate {_LOW:g} ", GREY).append("─" * at, DIM).append("●", f"bold {TEXT}")
    return row.append("─" * (cells - 1 - at), DIM).append(f" {_HIGH:,.0f}/s", GREY)


def _piece(*figures: tuple[str, str]) -> Text:
    return Text("  ").join(Text(f"{label} ", GREY).append(text, TEXT) for label, text in figures)


def _share(share: float) -> str:
    return f"{share * 100:.3g} %"


def _mix(weights: Weights) -> str:
    total = sum(weight for _, weight in weights)
    return " · ".join(f"{name} {weight / total * 100:.0f}" for name, weight in weights)


def keys_row(orders: Sequence[KeyOrder], width: int) -> Text:
    """Return the last order of each key in at most ``width`` cells: reasons first, then what was ordered."""
    wanted = sum(
        _result(order).cell_len + _BETWEEN_ORDERS + (0 if order.reason else len(order.what) + 1)
        for order in orders
    )
    failing = any(order.reason for order in orders)
    worded = (
        failing and sum(_result(order).cell_len + _BETWEEN_ORDERS for order in orders) - _BETWEEN_ORDERS <= width
    ) or (wanted - _BETWEEN_ORDERS <= width)
    short = [_result(order, worded=worded) for order in orders]
    left = width - sum(cell.cell_len for cell in short) - _BETWEEN_ORDERS * (len(short) - 1)
    failed = sum(1 for order in orders if order.reason)
    row = Text()
    for index, (order, cell) in enumerate(zip(orders, short, strict=True)):
        if order.reason:
            more, colour = order.reason, cell.style or TEXT
            room = max(0, left // failed)
        else:
            more, colour = order.what, GREY
            room = 0 if failed else max(0, left // len(orders))
        row.append(" " * (_BETWEEN_ORDERS if index else 0)).append(cell)
        if room >= _WORTH:
            addition = Text(f" {more if failed else _fitting(more, room - 1)}", colour)
            addition.truncate(room, overflow="ellipsis", pad=not failed)
            row.append(addition)
    row.truncate(width)
    return row


def _fitting(what: str, width: int) -> str:
    """Return an order in words, without its price, then without its store, where they do not fit."""
    shorter = (what, what.partition(",")[0], what.partition(" ")[0])
    return next((text for text in shorter if len(text) <= width), "")


def _result(order: KeyOrder, *, worded: bool = True) -> Text:
    glyph, colour, word = _OUTCOME[order.outcome]
    cell = Text(style=colour).append(f"{order.pipeline} ", ACCENT[order.pipeline]).append(glyph)
    cell.append(f" {word}" if worded else "")
    if order.status is not None:
        cell.append(f" {order.status}", "bold")
    if order.outcome and not order.reason:
        cell.append(f" {latency(order.latency_us):>7}", TEXT)
    return cell
