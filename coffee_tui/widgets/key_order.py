"""The last order of each key: what became of it, and why where it was not taken."""

from collections.abc import Sequence

from rich.text import Text

from coffee_tui.feed.orders_view import KeyOrder
from coffee_tui.theme import ACCENT, AMBER, GREY, RED, TEXT
from coffee_tui.widgets.text import latency

_OUTCOME = {
    "": ("…", GREY, "on its way"),
    "acknowledged": ("✓", TEXT, "accepted"),
    "refused": ("×", RED, "refused"),
    "rejected": ("×", RED, "rejected"),
    "unknown": ("?", AMBER, "outcome unknown"),
}
_GAP = 3
_WORTH = 8
"""Cells from which on a cut text still says something."""


def keys_row(orders: Sequence[KeyOrder], width: int) -> Text:
    """Return one row of at most ``width`` cells: room goes to reasons first, then to what was ordered."""
    wanted = sum(_result(order).cell_len + _GAP + (0 if order.reason else len(order.what) + 1) for order in orders)
    failing = any(order.reason for order in orders)
    worded = (failing and sum(_result(order).cell_len + _GAP for order in orders) - _GAP <= width) or (
        wanted - _GAP <= width
    )
    short = [_result(order, worded=worded) for order in orders]
    left = width - sum(cell.cell_len for cell in short) - _GAP * (len(short) - 1)
    failed = sum(1 for order in orders if order.reason)
    row = Text()
    for index, (order, cell) in enumerate(zip(orders, short, strict=True)):
        if order.reason:
            more, colour = order.reason, cell.style or TEXT
            room = max(0, left // failed)
        else:
            more, colour = order.what, GREY
            room = 0 if failed else max(0, left // len(orders))
        row.append(" " * (_GAP if index else 0)).append(cell)
        if room >= _WORTH:
            addition = Text(f" {more if failed else _fitting(more, room - 1)}", colour)
            addition.truncate(room, overflow="ellipsis", pad=not failed)
            row.append(addition)
    row.truncate(width)
    return row


def _fitting(what: str, width: int) -> str:
    """Return an order in words, without its price, then without its store, where they do not fit."""
    shorter = (what, what.partition(",")[0], what.partition(" ")[0])
    return next((each for each in shorter if len(each) <= width), "")


def _result(order: KeyOrder, *, worded: bool = True) -> Text:
    glyph, colour, word = _OUTCOME[order.outcome]
    cell = Text(style=colour).append(f"{order.pipeline} ", ACCENT[order.pipeline]).append(glyph)
    cell.append(f" {word}" if worded else "")
    if order.status is not None:
        cell.append(f" {order.status}", "bold")
    if order.outcome and not order.reason:
        cell.append(f" {latency(order.latency_us):>7}", TEXT)
    return cell
