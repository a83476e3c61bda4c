"""The last windows of one pipeline: a bar for each minute, what came late below them."""

from rich.text import Text
from textual.widgets import Static

from coffee_core.clock import to_datetime
from coffee_core.menu import STORES
from coffee_core.pipelines import INFO, Pipeline
from coffee_core.windows import StoreSums
from coffee_tui.feed.windows_reader import WindowsView
from coffee_tui.theme import ACCENT, AMBER, DIM, GREY, RED, TEXT
from coffee_tui.widgets.text import clip, count, money

_TIME, _ORDERS, _MONEY, _STORE, _STATE = 6, 8, 13, 9, 9
_LEAST_BAR = 8
_FINAL, _OPEN = "━", "╍"


class WindowsPanel(Static):
    """The windows of one pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(classes="windows")
        self._pipeline = pipeline

    def show(self, view: WindowsView, most: int) -> None:
        """Draw; the longest bar there is, ``most`` orders, takes the room for bars."""
        self.update(lines(self._pipeline, view, most, self.content_size.width))


def lines(pipeline: Pipeline, view: WindowsView, most: int, width: int) -> Text:
    """Return the panel as text, ``width`` cells wide, each store apart where there is room."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{pipeline}  {INFO[pipeline].title}", f"bold {ACCENT[pipeline]}")
    if view.windows is None:
        text.append("\n\n").append(clip(view.problem or "reading …", width), RED if view.problem else GREY)
        return text
    mark_us = view.windows.watermark_us
    mark = "no watermark yet" if mark_us is None else f"watermark {to_datetime(mark_us):%H:%M:%S} UTC"
    text.append(f"   {mark}\n", GREY)
    stores = width - _TIME - _LEAST_BAR - _ORDERS - _MONEY - _STATE >= _STORE * len(STORES)
    bar = max(_LEAST_BAR, width - _TIME - _ORDERS - _MONEY - _STATE - (_STORE * len(STORES) if stores else 0))
    heads = "".join(each.rjust(_STORE) for each in STORES) if stores else ""
    text.append(" " * (_TIME + bar) + "orders".rjust(_ORDERS) + "revenue".rjust(_MONEY) + heads + "\n", DIM)
    for start_s, sums in view.windows.windows.items():
        final = view.windows.is_final(start_s)
        cells = round(bar * sums.orders / most) if most else 0
        glyphs = (_FINAL if final else _OPEN) * max(cells, 1 if sums.orders else 0)
        text.append(f"{to_datetime(start_s * 1_000_000):%H:%M} ".ljust(_TIME), GREY)
        text.append(glyphs.ljust(bar), ACCENT[pipeline])
        _figures(text, sums, stores)
        text.append("final\n".rjust(_STATE + 1) if final else "open\n".rjust(_STATE + 1), DIM if final else AMBER)
    text.append("late".ljust(_TIME + bar), AMBER if view.windows.late.orders else GREY)
    _figures(text, view.windows.late, stores)
    text.append("ever".rjust(_STATE), DIM)
    if view.problem:
        text.append(f"\n× {clip(view.problem, width - 2)}", RED)
    return text


def _figures(text: Text, sums: StoreSums, stores: bool) -> None:
    text.append(count(sums.orders, _ORDERS), TEXT if sums.orders else DIM)
    text.append(money(sums.revenue_cents, _MONEY - 1).rjust(_MONEY), TEXT if sums.orders else DIM)
    if stores:
        for each in STORES:
            text.append(count(sums.store_counts.get(each, 0), _STORE), GREY)
