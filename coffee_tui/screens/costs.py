"""Costs: what each part takes now, what it took at rest, and what an order of the load costs it."""

from collections.abc import Callable, Iterable, Sequence

from rich.text import Text
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from coffee_core.pipelines import Pipeline
from coffee_tui.data.snapshot import PartCost, Snapshot
from coffee_tui.screens.base_screen import Page
from coffee_tui.theme import ACCENT, DIM, GREY, TEXT
from coffee_tui.widgets.charts import bar
from coffee_tui.widgets.format import UNKNOWN, clip, rate

_EVERY_S = 0.5
_PART, _SERVES, _FIGURE, _MEMORY = 24, 6, 10, 10
_LEAST_BAR = 6
_TEXT_CELLS = 100
_UNKNOWN = (
    "what the parts cost is not known here: the API measures it of an embedded stack alone,"
    " and an older recording has none of it"
)
_NOTE = (
    "of a core, over the last 3 s; at rest: while no order came, as seen from here; an order: what it adds,"
    " by the orders of the pipelines that the part serves"
)


class CostsScreen(Page):
    """A row for each part, and their sum."""

    CSS = """
    #costs { padding: 1 2; }
    #costs Static { height: auto; }
    """

    def __init__(self, pipelines: tuple[Pipeline, ...], now: Callable[[], Snapshot]) -> None:
        super().__init__("Costs · what the load takes, part by part")
        self._pipelines = pipelines
        self._now = now
        self._drawn: object = None

    def body(self) -> Iterable[Widget]:
        """Return the table."""
        yield VerticalScroll(Static(id="parts"), id="costs")

    def on_mount(self) -> None:
        """Draw, and draw again where something has changed."""
        self._draw()
        self.set_interval(_EVERY_S, self._draw)

    def on_resize(self) -> None:
        """Fit the table to the cells there are."""
        self._drawn = None
        self.call_after_refresh(self._draw)

    def text(self) -> str:
        """Return the table."""
        return costs_text(self._now(), _TEXT_CELLS).plain

    def _draw(self) -> None:
        snapshot = self._now()
        inputs = (snapshot.costs, self._rates(snapshot))
        if inputs != self._drawn:
            self._drawn = inputs
            for table in self.query("#parts").results(Static):
                table.update(costs_text(snapshot, self.size.width - 5))

    def _rates(self, snapshot: Snapshot) -> tuple[str, ...]:
        return tuple(rate(view.rate) for view in snapshot.pipelines)


def costs_text(snapshot: Snapshot, width: int) -> Text:
    """Return the table, ``width`` cells wide."""
    text = Text()
    for view in snapshot.pipelines:
        text.append(f"{view.pipeline} ", f"bold {ACCENT[view.pipeline]}").append(
            f"{rate(view.rate)} shown   ", GREY
        )
    if not snapshot.costs:
        return text.append(f"\n\n{_UNKNOWN}", GREY)
    cells = width - _PART - _SERVES - 3 * _FIGURE - _MEMORY - 2
    drawn = cells >= _LEAST_BAR
    heads = "now".rjust(_FIGURE) + "at rest".rjust(_FIGURE) + "an order".rjust(_FIGURE) + "memory".rjust(_MEMORY)
    text.append("\n\n" + "part".ljust(_PART) + "for".ljust(_SERVES) + heads + "\n", DIM)
    accents = {str(view.pipeline): ACCENT[view.pipeline] for view in snapshot.pipelines}
    most = max([100, *(part.percent or 0 for part in snapshot.costs)])
    for part in sorted(snapshot.costs, key=lambda part: -(part.percent or 0)):
        colour = accents.get(part.serves, GREY)
        text.append(clip(part.name, _PART - 1).ljust(_PART), TEXT)
        text.append((part.serves or "all").ljust(_SERVES), colour)
        _figures(text, part)
        if drawn:
            text.append("  ").append(bar((part.percent or 0) / most, cells), colour)
        text.append("\n")
    _figures(text.append("all parts".ljust(_PART + _SERVES), f"bold {TEXT}"), _sum(snapshot.costs), bold=True)
    return text.append(f"\n\n{_NOTE}", DIM)


def _figures(text: Text, part: PartCost, *, bold: bool = False) -> None:
    strong = f"bold {TEXT}"
    text.append(_percent(part.percent).rjust(_FIGURE), strong)
    text.append(_percent(part.rest_percent).rjust(_FIGURE), strong if bold else GREY)
    price = UNKNOWN if part.us_per_order is None else f"{part.us_per_order:,} µs"
    text.append(("" if bold else price).rjust(_FIGURE), TEXT)
    text.append(f"{part.megabytes:,} MB".rjust(_MEMORY), strong if bold else GREY)


def _percent(percent: int | None) -> str:
    return UNKNOWN if percent is None else f"{percent} %"


def _sum(parts: Sequence[PartCost]) -> PartCost:
    now, rest = [part.percent for part in parts], [part.rest_percent for part in parts]
    return PartCost(
        "",
        percent=None if None in now else sum(each or 0 for each in now),
        rest_percent=None if None in rest else sum(each or 0 for each in rest),
        megabytes=sum(part.megabytes for part in parts),
    )
