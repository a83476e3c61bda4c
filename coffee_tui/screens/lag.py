"""Lag: what waits before each consumer, partition by partition, where that leads and when it is level."""

import asyncio
import time
from collections.abc import Callable, Iterable

from rich.text import Text
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings
from coffee_tui.data.lag import Course, LagHistory, LagRow, LagView, Trend, read_lag
from coffee_tui.data.snapshot import Snapshot
from coffee_tui.screens.base_screen import Page
from coffee_tui.theme import ACCENT, AMBER, DIM, GREY, RED, TEXT
from coffee_tui.widgets.charts import bar, sparkline
from coffee_tui.widgets.format import UNKNOWN, clip, count

_EVERY_S = 1.0
_NAME, _WAITING, _TREND, _LEVEL, _LEAST_BAR = 20, 9, 18, 15, 8
_ROOMY = 100
"""From this many cells on a row has its bar."""
_RECORDING = "a recording has no lags: start a lab with `coffee up`"
_NOTE = "a trend is of the last 6 s; level in: until nothing waits at this pace"
_TEXT_CELLS = 120


class LagScreen(Page):
    """A block for each pipeline: each group as a whole, then its partitions and consumers."""

    CSS = """
    #lags { padding: 1 2; }
    #lags Static { height: auto; }
    """

    def __init__(self, settings: Callable[[], Settings | None], now: Callable[[], Snapshot]) -> None:
        super().__init__("Lag · what waits, before whom, and until when")
        self._settings = settings
        self._now = now
        found = settings()
        self._views = dict.fromkeys(found.pipelines if found else (), LagView())
        self._histories = {pipeline: LagHistory() for pipeline in self._views}

    def body(self) -> Iterable[Widget]:
        """Return the blocks."""
        if not self._views:
            yield Static(_RECORDING, id="message")
            return
        yield VerticalScroll(Static(id="blocks"), id="lags")

    def on_mount(self) -> None:
        """Begin to read."""
        for pipeline in self._views:
            self.run_worker(self._follow(pipeline), exit_on_error=True)

    def on_resize(self) -> None:
        """Fit the blocks to the cells there are."""
        self.call_after_refresh(self._draw)

    def text(self) -> str:
        """Return the blocks."""
        return self._blocks(_TEXT_CELLS).plain if self._views else _RECORDING

    async def _follow(self, pipeline: Pipeline) -> None:
        while settings := self._settings():
            view = await read_lag(settings, pipeline, self._views[pipeline])
            self._views[pipeline] = view
            if view.rows is not None and not view.problem:
                self._histories[pipeline].add(time.monotonic(), view.rows)
            self._draw()
            await asyncio.sleep(_EVERY_S)

    def _draw(self) -> None:
        # None where the page has been closed since.
        for blocks in self.query("#blocks").results(Static):
            blocks.update(self._blocks(self.size.width - 5))

    def _blocks(self, width: int) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        for pipeline, view in self._views.items():
            text.append_text(lag_text(pipeline, view, self._histories[pipeline], self._waits(pipeline), width))
            text.append("\n\n")
        return text.append(clip(_NOTE, width), DIM)

    def _waits(self, pipeline: Pipeline) -> str:
        """Return how a pipeline stands that has no log, in the words of its column."""
        for column in self._now().pipelines:
            if column.pipeline == pipeline:
                in_flight = column.counts.in_flight if column.counts else None
                known = "rows to be shown: not known" if in_flight is None else f"rows to be shown: {in_flight:,}"
                return f"{known} · {column.status_line.text}"
        return ""


def lag_text(pipeline: Pipeline, view: LagView, history: LagHistory, waits: str, width: int) -> Text:
    """Return one pipeline's block, ``width`` cells wide; ``waits`` is said of one whose rows are its log."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{pipeline}  {pipeline.info.title}", f"bold {ACCENT[pipeline]}")
    if view.problem:
        text.append(f"\n× {clip(view.problem, width - 2)}", RED)
    if view.rows is None:
        return text if view.problem else text.append("\nreading …", GREY)
    if not view.rows:
        log = pipeline.info.log
        none = waits if log is None else f"nobody has read {log.name} yet"
        return text.append("\n" + clip(f"its rows are its log · {waits}" if log is None else none, width), GREY)
    top = max((row.waiting or 0 for row in view.rows), default=0)
    for group in dict.fromkeys(row.group for row in view.rows):
        rows = [row for row in view.rows if row.group == group]
        known = [row.waiting for row in rows if row.waiting is not None]
        whole = sum(known) if len(known) == len(rows) else None
        _group(text, group, whole, history, width)
        for row in rows:
            _row(text, row, history.trend(*row.place), top, pipeline, width)
    return text


def _group(text: Text, group: str, whole: int | None, history: LagHistory, width: int) -> None:
    text.append("\n" + clip(group, _NAME - 1).ljust(_NAME), f"bold {TEXT}")
    text.append(_count(whole), f"bold {TEXT}")
    _trend(text, history.trend(group), bold=True)
    cells = width - _NAME - _WAITING - _TREND - _LEVEL - 2
    if cells >= _LEAST_BAR:
        past = history.past(group)[-cells:]
        highest = max([1, *past])
        (line,) = sparkline([each / highest for each in past], cells, 1)
        text.append("  ").append(line, GREY)


def _row(text: Text, row: LagRow, course: Trend, top: int, pipeline: Pipeline, width: int) -> None:
    topic = row.partition.isdecimal()
    name = f"partition {row.partition}" if topic else row.consumer or row.note
    text.append("\n  " + clip(name, _NAME - 3).ljust(_NAME - 2), GREY)
    text.append(_count(row.waiting), TEXT if row.waiting else DIM)
    _trend(text, course, roomy=width >= _ROOMY)
    reader = {None: "read by: not known", "": "read by nobody"}.get(row.consumer, f"read by {row.consumer}")
    said = f"{reader} · {row.note}" if topic else row.note * bool(row.consumer)
    # Where there is no time to tell, its cells are the reader's.
    cells = width - _NAME - _WAITING - _TREND - _LEVEL * (course.level_in_s is not None or width >= _ROOMY) - 2
    if width >= _ROOMY and cells >= 2 * _LEAST_BAR:
        drawn = bar((row.waiting or 0) / top if top else 0.0, _LEAST_BAR)
        text.append("  ").append(drawn.ljust(_LEAST_BAR), ACCENT[pipeline])
        cells -= _LEAST_BAR + 1
    text.append(" ").append(clip(said, max(1, cells)), AMBER if topic and row.consumer == "" else DIM)


def _count(waiting: int | None) -> str:
    return UNKNOWN.rjust(_WAITING) if waiting is None else count(waiting, _WAITING)


def _trend(text: Text, course: Trend, *, bold: bool = False, roomy: bool = True) -> None:
    words = {
        Course.UNKNOWN: (Course.UNKNOWN.value, DIM),
        Course.LEVEL: ("level", GREY),
        Course.GROWING: (f"growing {course.per_s:,.0f}/s", AMBER),
        Course.DRAINING: (f"draining {-course.per_s:,.0f}/s", TEXT),
    }
    said, colour = words[course.course]
    text.append(f"  {said}".ljust(_TREND), f"bold {colour}" if bold and colour != DIM else colour)
    if course.level_in_s is not None:
        text.append(f"level in {_span(course.level_in_s)}".ljust(_LEVEL), TEXT)
    elif roomy:
        text.append(" " * _LEVEL)


def _span(span_s: float) -> str:
    if span_s < 119.5:
        return f"{span_s:.0f} s"
    return f"{span_s / 60:.0f} min" if span_s < 7_170 else f"{span_s / 3_600:.0f} h"
