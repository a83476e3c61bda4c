"""Orders per second and the two latencies of a column, each with its sparkline on the scale of all columns."""

from rich.text import Text
from textual.reactive import reactive

from coffee_tui.feed.snapshot import PipelineView, Quantiles
from coffee_tui.theme import DIM, GREY, TEXT
from coffee_tui.widgets.blocks import NARROW
from coffee_tui.widgets.marks import marked
from coffee_tui.widgets.panel import ColumnPanel
from coffee_tui.widgets.scale import LATENCY, LATENCY_LABELS, sparkline
from coffee_tui.widgets.text import latency, rate

_LABEL = 10
_VALUE = 9


class Pace(ColumnPanel):
    """How fast and how late."""

    top_rate: reactive[float] = reactive(1.0)
    """Orders per second at the top of every rate's sparkline."""
    marks: reactive[tuple[bool, ...]] = reactive((), repaint=False)
    """Seconds in which a fault on purpose was felt; they move with the histories, which repaint."""
    spark_rows: reactive[int] = reactive(1, layout=True)
    """Rows of each sparkline."""

    def get_content_height(self, container: object, viewport: object, width: int) -> int:  # noqa: ARG002
        """Return the rows that ``rows`` will draw."""
        return 3 if width < NARROW else 3 * self.spark_rows + 1

    def drawn_from(self, view: PipelineView) -> object:
        """Return what the rows are made of."""
        histories = (view.rate_history, view.api_history, view.dashboard_history)
        return view.rate, view.api, view.dashboard, histories

    def rows(self, view: PipelineView, width: int) -> list[Text]:
        """Return three figures with their sparklines; above the latencies what their scale is."""
        if width < NARROW:
            return self._narrow(view, width)
        spark = width - _LABEL - 2 * _VALUE
        rates = [None if one is None else one / self.top_rate for one in view.rate_history[-spark:]]
        scale = next(label for label in LATENCY_LABELS if len(label) <= _LABEL + spark)
        heading = Text(scale.ljust(_LABEL + spark) + "p50".rjust(_VALUE) + "p99".rjust(_VALUE), DIM)
        return [
            *self._figure("orders/s", rates, spark, rate(view.rate), ""),
            heading,
            *self._latency("API", view.api, view.api_history, spark),
            *self._latency("dashboard", view.dashboard, view.dashboard_history, spark),
        ]

    def _narrow(self, view: PipelineView, width: int) -> list[Text]:
        drawn = [Text("p50".rjust(width - _VALUE) + "p99".rjust(_VALUE), DIM)]
        for label, now in (("API", view.api), ("shown", view.dashboard)):
            row = Text(label.ljust(width - 2 * _VALUE), GREY)
            row.append(latency(now.p50_us).rjust(_VALUE) + latency(now.p99_us).rjust(_VALUE), TEXT)
            drawn.append(row)
        return drawn

    def _latency(self, label: str, now: Quantiles, history: tuple[float | None, ...], spark: int) -> list[Text]:
        fractions = [None if one is None else LATENCY.fraction(one) for one in history[-spark:]]
        return self._figure(label, fractions, spark, latency(now.p50_us), latency(now.p99_us))

    def _figure(
        self, label: str, fractions: list[float | None], spark: int, first: str, second: str
    ) -> list[Text]:
        lines = sparkline(fractions, spark, self.spark_rows)
        drawn = [marked(line, self.marks, self.accent) for line in lines]
        rows = [Text(" " * _LABEL).append(line) for line in drawn]
        rows[-1] = Text(label.ljust(_LABEL), GREY).append(drawn[-1])
        rows[-1].append(first.rjust(_VALUE) + second.rjust(_VALUE), f"bold {TEXT}")
        return rows
