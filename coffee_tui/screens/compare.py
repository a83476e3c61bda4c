"""Compare: what is claimed of each pipeline, beside what was measured just now."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap

from rich.text import Text
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from coffee_core.pipelines import Pipeline
from coffee_tui.data.snapshot import PipelineView, Quantiles, Snapshot
from coffee_tui.data.status_line import ago
from coffee_tui.keymap import named
from coffee_tui.screens.base_screen import Page
from coffee_tui.theme import ACCENT, DIM, GREY, TEXT
from coffee_tui.widgets.format import clip, in_words, latency, listed
from coffee_tui.widgets.orders import order_keys


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of the founding note's comparison: what is claimed, what can be measured, how to see the rest."""

    aspect: str
    """What is compared."""
    name: str
    """Which of the ``Claims`` that a pipeline declares."""
    measured: Callable[[PipelineView], Quantiles | str] | None
    """What this dashboard has measured just now; None of a row that is a fact."""
    see: str
    """How to see it; ``{load}`` stands for the key of that action."""

    def claimed(self, pipelines: Iterable[Pipeline]) -> tuple[str, ...]:
        """Return what is claimed of each pipeline."""
        return tuple(str(getattr(pipeline.info.claims, self.name)) for pipeline in pipelines)


def _shown(view: PipelineView) -> str:
    return "—" if view.rate is None else f"{view.rate:,.0f} orders/s shown"


def _audited(view: PipelineView) -> str:
    counts = view.counts
    if counts is None:
        return "—"
    return f"lost {counts.lost:,} · duplicated {counts.duplicated:,} · drift {counts.drift:,}{_of(view)}"


def _logged(view: PipelineView) -> str:
    accepted = view.counts.accepted if view.counts else None
    return "—" if accepted is None else f"{_logs(view.pipeline, accepted)}{_of(view)}"


def _of(view: PipelineView) -> str:
    """Return the moment of the counts where it is not that of the figures beside them."""
    return "" if view.counts_age_s is None else f" · {ago(view.counts_age_s)}"


def _queued(view: PipelineView) -> str:
    waiting = sum(stage.waiting or 0 for stage in view.chain)
    return f"{waiting:,} queued · {view.status_line.whole}" if waiting else view.status_line.whole


def _logs(pipeline: Pipeline, accepted: int) -> str:
    log = pipeline.info.log
    return f"{accepted:,} rows, no log" if log is None else f"{log.entries} logged: {accepted:,}"


def claims(pipelines: Sequence[Pipeline]) -> tuple[Claim, ...]:
    """Return every row, in the order of the note."""
    in_runs = [pipeline for pipeline in pipelines if pipeline.info.shown_in_runs]
    at_once = [pipeline for pipeline in pipelines if not pipeline.info.shown_in_runs]
    moves = [f"{listed(in_runs)} moves at its next run"] if in_runs else []
    moves += [f"{listed(at_once)} at once"] if at_once else []
    return (
        Claim(
            "API Response Time",
            "api_response",
            lambda view: view.api,
            "{load} sends a load; the figures are of the last 10 s",
        ),
        Claim(
            "Dashboard Latency",
            "dashboard_latency",
            lambda view: view.dashboard,
            f"{listed(order_keys(pipelines))} send one order each: watch when its total moves",
        ),
        Claim(
            "Delivery Guarantee",
            "delivery",
            _audited,
            "{faults}, kill-stream-worker: every order is compared with its row; in effect all "
            f"{in_words(len(pipelines))} are exactly once",
        ),
        Claim(
            "Message Persistence",
            "persistence",
            _logged,
            "{faults}, kill-redis or kill-kafka; coffee down, then coffee up: "
            "every order and every total is there again",
        ),
        Claim(
            "Replay Capability",
            "replay",
            None,
            "{faults}, replay-v2: what a dead worker had in hand is handed on; "
            "{faults}, replay-v3: the whole topic is counted anew",
        ),
        Claim(
            "Worker Downtime",
            "downtime",
            _queued,
            "{faults}, freeze-stream-worker or kill-flink-taskmanager: "
            "orders are still accepted, then the backlog drains",
        ),
        Claim(
            "Aggregation",
            "aggregation",
            _shown,
            "{burst} sends a burst: " + ", ".join(moves),
        ),
        Claim(
            "Scalability",
            "scalability",
            None,
            "more stream workers share the group; COFFEE_FLINK_PARALLELISM spreads the job over the partitions",
        ),
    )


_LABEL = 11
_EVERY_S = 0.5


class CompareScreen(Page):
    """The comparison table of the pipelines."""

    def __init__(self, pipelines: tuple[Pipeline, ...], now: Callable[[], Snapshot]) -> None:
        super().__init__("Compare · claimed, measured here now, and how to see it")
        self._now = now
        self._pipelines = pipelines
        self._claims = claims(pipelines)
        self._drawn: object = None

    def body(self) -> Iterable[Widget]:
        """Return the names, which stay, and the table."""
        yield Static(id="heads")
        yield VerticalScroll(Static(id="table"), id="claims")

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
        return f"{heads(self._pipelines, 100)}\n\n{self._table(self._cells(), 100)}"

    def _cells(self) -> tuple[tuple[str, ...], ...]:
        views = {view.pipeline: view for view in self._now().pipelines}
        return tuple(
            tuple(_measured(claim, views.get(pipeline)) for pipeline in self._pipelines) for claim in self._claims
        )

    def _draw(self) -> None:
        cells = self._cells()
        if cells != self._drawn:
            self._drawn = cells
            width = self.size.width - 6
            self.query_one("#heads", Static).update(heads(self._pipelines, width))
            self.query_one("#table", Static).update(self._table(cells, width))

    def _table(self, measured: tuple[tuple[str, ...], ...], width: int) -> Text:
        """Return the whole table, ``width`` cells wide: each row its claims, its figures, how to see it."""
        cell = _cell(len(self._pipelines), width)
        text = Text(no_wrap=True, overflow="ellipsis")
        for claim, figures in zip(self._claims, measured, strict=True):
            text.append(f"{claim.aspect}\n", f"bold {TEXT}")
            _line(text, "claimed", claim.claimed(self._pipelines), cell, GREY)
            if claim.measured is not None:
                _line(text, "now", figures, cell, TEXT)
            for at, line in enumerate(wrap(named(self, claim.see), width - _LABEL)):
                text.append(("" if at else "  see").ljust(_LABEL), DIM).append(f"{line}\n", GREY)
            text.append("\n")
        return text


def _measured(claim: Claim, view: PipelineView | None) -> str:
    if claim.measured is None or view is None:
        return "—"
    found = claim.measured(view)
    if isinstance(found, Quantiles):
        return "—" if found.p50_us is None else f"p50 {latency(found.p50_us)} · p99 {latency(found.p99_us)}"
    return found


def _fold(text: str, width: int) -> list[str]:
    """Return a cell's lines: each figure begins one where they do not stand side by side."""
    figures = [text] if len(text) <= width else text.split(" · ")
    return [line for figure in figures for line in wrap(figure, width)]


def _cell(pipelines: int, width: int) -> int:
    return max(10, (width - _LABEL) // pipelines)


def heads(pipelines: Sequence[Pipeline], width: int) -> Text:
    """Return the names of the pipelines, over two lines where they have no room beside their versions."""
    cell = _cell(len(pipelines), width)
    folded = max(len(f"{pipeline}  {pipeline.info.title}") for pipeline in pipelines) >= cell
    text = Text(" " * _LABEL, no_wrap=True, overflow="ellipsis")
    for pipeline in pipelines:
        name = str(pipeline) if folded else f"{pipeline}  {pipeline.info.title}"
        text.append(name.ljust(cell), f"bold {ACCENT[pipeline]}")
    if folded:
        text.append("\n" + " " * _LABEL)
        for pipeline in pipelines:
            text.append(clip(pipeline.info.title, cell - 1).ljust(cell), ACCENT[pipeline])
    return text


def _line(text: Text, label: str, cells: tuple[str, ...], width: int, colour: str) -> None:
    text.append(f"  {label}".ljust(_LABEL), DIM)
    folded = [_fold(cell, width - 1) for cell in cells]
    for at in range(max(map(len, folded))):
        if at:
            text.append(" " * _LABEL)
        for lines in folded:
            text.append((lines[at] if at < len(lines) else "").ljust(width), colour)
        text.append("\n")
