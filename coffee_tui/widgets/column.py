"""The column of one pipeline: chain, totals, rates, latency chart, breakdowns, audit, status."""

import math
from collections.abc import Iterable
from functools import partial
from itertools import zip_longest
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

from coffee_core.pipelines import Pipeline
from coffee_core.pipelines import Stage as DeclaredStage
from coffee_core.totals import PipelineCounts
from coffee_tui.data.snapshot import CostView, Health, Mood, PipelineView, Stage
from coffee_tui.data.status_line import ago
from coffee_tui.data.tour import Look
from coffee_tui.theme import AMBER, DIM, GREY, HEALTH, LOOK, MOOD, RED, TEXT, slot
from coffee_tui.widgets.charts import LATENCY_LABELS, LATENCY_SCALE, LatencyChart, bar, sparkline, with_fault_marks
from coffee_tui.widgets.format import UNKNOWN, clip, compact, count, latency, memory, money, rate
from coffee_tui.widgets.rows import RowsWidget, Section, Shared, accent

_BETWEEN = 2
"""Cells between figures and breakdowns where they stand side by side."""
_FIGURES_PERCENT = 56
"""Per cent of the remaining cells for the figures: a sparkline needs more than a bar."""
_NO_GAP, _FIRST_GAP = 0, 1
_GAP_PRIORITIES = (3, 5, 2, 4)
"""Priorities of the gaps above totals, rates, drinks and stores: the lowest number has its empty row first."""


class PipelineColumn(RowsWidget):
    """A column: its sections, one below the other.

    One widget, not one for each section: what a frame costs in Textual is the widgets under it.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(id=f"column-{pipeline}", classes=f"slot-{slot(pipeline)}")
        self.border_title = f"{pipeline}  {pipeline.info.title}"
        self._view, self._shared = PipelineView(pipeline), Shared()
        self._chain, self._audit, self._status = Chain(), Audit(), Status()
        self._totals, self._rates, self._chart = Totals(), Rates(), LatencyChart()
        self._drinks, self._stores = Drinks(), Stores()

    def show(self, view: PipelineView, shared: Shared) -> None:
        """Show a view. A broken pipeline is framed in red; the frame also shows what its processes cost."""
        if (view, shared) == (self._view, self._shared):
            return
        self._view, self._shared = view, shared
        self.set_class(view.status_line.mood is Mood.BROKEN, "broken")
        self.set_border_subtitle(cost_text(view.cost))
        self.redraw()

    def rows(self, width: int) -> list[Text]:
        """Return the rows of all sections."""
        view, shared = self._view, self._shared

        def drawn_rows(section: Section, cells: int, look: str = "") -> list[Text]:
            rows = section.cached_rows(view, cells, shared)
            marked = look in shared.looks and (not shared.looked_at or view.pipeline in shared.looked_at)
            return [_looked_at(row, cells) for row in rows] if marked else rows

        figures = ((self._totals, Look.TOTALS), (self._rates, Look.RATES))
        breakdowns = () if shared.brief else (self._drinks, self._stores)
        if shared.alone:
            left = (width - _BETWEEN) * _FIGURES_PERCENT // 100 if breakdowns else width
            right = width - _BETWEEN - left
            beside = [row for section in breakdowns for row in drawn_rows(section, right)]
            rows = [row for section, look in figures for row in drawn_rows(section, left, look)]
            body = [_Block(_NO_GAP, _beside(rows, beside, left + _BETWEEN) if beside else rows)]
        else:
            sections = (*figures, *((section, "") for section in breakdowns))
            body = [
                _Block(priority, drawn_rows(section, width, look))
                for priority, (section, look) in zip(_GAP_PRIORITIES, sections, strict=False)
            ]
        body.append(_Block(_FIRST_GAP, drawn_rows(self._chart, width)))
        body.append(_Block(_FIRST_GAP, drawn_rows(self._audit, width, Look.AUDIT)))
        drawn = list(drawn_rows(self._chain, width, Look.CHAIN))
        status = drawn_rows(self._status, width, Look.STATUS)
        # A standstill is told in full at the expense of empty rows.
        gaps = shared.gaps - (len(status) - _STATUS_ROWS)
        for block in body:
            if block.rows and 0 < block.priority <= gaps:
                drawn.append(Text())
            drawn += block.rows
        return drawn + status


def _looked_at(row: Text, width: int) -> Text:
    """Return a row on the ground of what a talk speaks of."""
    marked = row.copy()
    marked.pad_right(max(0, width - marked.cell_len))
    marked.stylize(f"bold on {LOOK}")
    return marked


class _Block(NamedTuple):
    """Rows of the column that stand together."""

    priority: int
    """An empty row stands above them once ``shared.gaps`` reaches it; ``_NO_GAP``: never."""
    rows: list[Text]


def _beside(left: list[Text], right: list[Text], at: int) -> list[Text]:
    return [
        Text().append(first).append(" " * (at - first.cell_len)).append(second)
        for first, second in zip_longest(left, right, fillvalue=Text())
    ]


# The chain.

_SHORT = {"PG, Redis": "PG,R"}
_WIDEST_ARROW = 12
_FEW = 5
"""Up to so many orders are always in hand; more are a pile."""
_HIGHEST_PILE = 100_000
"""Orders that fill a link."""


class Chain(Section):
    """A pipeline as its real chain, in two rows: how its parts stand; how fast orders pass a link, or pile up."""

    SOURCES = frozenset()

    def inputs(self, view: PipelineView, shared: Shared) -> object:
        """Return what the rows are made of."""
        return view.chain, shared.pipelines

    def rows(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:
        """Return both rows; on a narrow column the names are cut, then the gaps go."""
        chains = tuple(pipeline.info.chain for pipeline in shared.pipelines)
        arrows = max(len(chain) - 1 for chain in chains)
        short = width < _cells(chains, " ", short=False) + arrows
        gap = " " if width >= _cells(chains, " ", short=short) + arrows else ""
        arrow = max(1, min(_WIDEST_ARROW, (width - _cells(chains, gap, short=short)) // arrows))
        periodic = {stage.label for stage in view.pipeline.info.chain if stage.periodic}
        parts, links = Text(), Text()
        for stage, after in zip_longest(view.chain, view.chain[1:]):
            glyph, colour = _glyph(stage, periodic=stage.label in periodic)
            parts.append(glyph + gap, colour)
            parts.append(_label(stage.label, short=short), TEXT if stage.health is Health.GOOD else colour)
            if after is not None:
                piled = _pile(stage, after, by_design=after.label in periodic)
                middle = parts.cell_len + arrow // 2
                parts.append(_arrow(arrow, piled[0] if piled else 0), piled[1] if piled else DIM)
                below, colour = (f"▪{compact(piled[0])}", piled[1]) if piled else (rate(stage.rate), GREY)
                start = max(links.cell_len + bool(links), middle - len(below) // 2)
                links.append(" " * (start - links.cell_len)).append(below, colour)
        return [parts, links]


def _cells(chains: Iterable[tuple[DeclaredStage, ...]], gap: str, *, short: bool) -> int:
    """Return the cells of the longest chain without its arrows: all columns are spaced alike."""
    return max(sum(len(gap) + 1 + len(_label(stage.label, short=short)) for stage in chain) for chain in chains)


def _label(label: str, *, short: bool) -> str:
    return _SHORT.get(label, label) if short else label


def _glyph(stage: Stage, *, periodic: bool) -> tuple[str, str]:
    # A cron that does its work is not always at work: a clock, not a lamp.
    if periodic and stage.health is Health.GOOD:
        return "◷", HEALTH[Health.GOOD][1]
    return HEALTH[stage.health]


def _pile(stage: Stage, after: Stage, *, by_design: bool) -> tuple[int, str] | None:
    """Return what piles up on a link and its colour; None where it is no pile."""
    if not stage.waiting:
        return None
    if after.health is Health.BROKEN:
        return stage.waiting, RED
    if by_design:
        return stage.waiting, GREY
    return (stage.waiting, AMBER) if stage.waiting > max(_FEW, stage.rate or 0) else None


def _arrow(cells: int, piled: int) -> str:
    if cells < 3:
        return "→".ljust(cells)
    shaft = cells - 3
    full = min(shaft, math.ceil(shaft * math.log(piled + 1) / math.log(_HIGHEST_PILE))) if piled else 0
    return " " + "─" * (shaft - full) + "▪" * full + "→ "


# The totals.

NARROW = 30
"""A column with fewer cells has no room beside its digits, and no sparklines."""
NUMBER_WIDTH = 23
"""Cells of 9,999,999."""


class Totals(Section):
    """Orders in large digits, revenue beside them or below."""

    def inputs(self, view: PipelineView, shared: Shared) -> object:  # noqa: ARG002
        """Return what the rows are made of."""
        return view.orders, view.revenue_cents, view.rate

    def rows(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:  # noqa: ARG002
        """Return three rows; on a narrow column a fourth, with revenue and orders per second."""
        narrow = width < NARROW
        number = large(UNKNOWN if view.orders is None else f"{view.orders:,}", NUMBER_WIDTH if narrow else 0)
        digits = [Text(row, TEXT) for row in number]
        beside = width - len(number[0]) - 2
        if narrow:
            per_s = rate(view.rate)
            below = Text(_revenue(view, width - len(per_s) - 1), f"bold {TEXT}")
            return [*digits, below.append(per_s.rjust(width - below.cell_len), TEXT)]
        # At the right edge, where every number of the column ends.
        digits[0].append("orders".rjust(beside + 2), GREY)
        digits[1].append(_revenue(view, beside).rjust(beside + 2), f"bold {TEXT}")
        return digits


def _revenue(view: PipelineView, width: int) -> str:
    return UNKNOWN if view.orders is None else money(view.revenue_cents, width)


_DIGITS = {
    "0": ("╭─╮", "│ │", "╰─╯"),
    "1": ("╶┐ ", " │ ", "╶┴╴"),
    "2": ("╶─╮", "┌─┘", "╰─╴"),
    "3": ("╶─╮", " ─┤", "╶─╯"),
    "4": ("╷ ╷", "╰─┤", "  ╵"),
    "5": ("╭─╴", "╰─╮", "╶─╯"),
    "6": ("╭─╴", "├─╮", "╰─╯"),
    "7": ("╶─┐", "  │", "  ╵"),
    "8": ("╭─╮", "├─┤", "╰─╯"),
    "9": ("╭─╮", "╰─┤", "╶─╯"),
    ",": (" ", " ", ","),
    " ": ("   ", "   ", "   "),
    "—": ("   ", "╶─╴", "   "),
    "-": ("   ", "╶─╴", "   "),
}


def large(text: str, width: int) -> list[str]:
    """Return the three rows of a number in large digits, left-aligned in at least ``width`` cells.

    Every digit is three cells wide: a number that grows does not move the others.

    Raises KeyError of a character that is no digit, comma, space, dash or minus.
    """
    return ["".join(_DIGITS[character][row] for character in text).ljust(width) for row in range(3)]


# Rates and latencies.

_LABELS, _SHORT_LABELS = ("orders/s", "API", "dashboard"), ("rate", "API", "shown")
_VALUE = 9
_ROOMY = 44
"""From this many cells on there are the long labels and a gap: below, a sparkline needs their cells."""
_SPARKLINE_S = 120
"""Seconds of a history that a sparkline shows at most: a change of older ones does not redraw it."""


class Rates(Section):
    """Orders per second and the two latencies, with sparklines on the scale of all columns."""

    def inputs(self, view: PipelineView, shared: Shared) -> object:
        """Return what the rows are made of."""
        histories = (
            view.rate_history[-_SPARKLINE_S:],
            view.api_history[-_SPARKLINE_S:],
            view.dashboard_history[-_SPARKLINE_S:],
        )
        return (
            view.rate,
            view.api,
            view.dashboard,
            histories,
            shared.top_rate,
            shared.fault_marks[-_SPARKLINE_S:],
            shared.spark_rows,
            shared.chart_rows > 0,
        )

    def rows(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:
        """Return three figures with their sparklines, each with what its scale is; a chart has the room of two."""
        if width < NARROW:
            return _narrow(view, width)
        labels, value = (_LABELS, _VALUE) if width >= _ROOMY else (_SHORT_LABELS, _VALUE - 1)
        label = max(map(len, labels)) + 1
        spark = width - label - 2 * value
        rates = [None if per_s is None else per_s / shared.top_rate for per_s in view.rate_history[-spark:]]
        scale = next(text for text in LATENCY_LABELS if len(text) <= label + spark)
        heading = Text(scale.ljust(label + spark) + "p50".rjust(value) + "p99".rjust(value), DIM)
        lamps = ((view.api, view.api_history), (view.dashboard, view.dashboard_history))
        latencies = [
            (
                latency(now.p50_us),
                latency(now.p99_us),
                LATENCY_SCALE.fractions(past[-spark:]),
            )
            for now, past in lamps
        ]
        draw = partial(_figure, view=view, fault_marks=shared.fault_marks, cells=spark)
        names = [name.ljust(label) for name in labels]
        rows = draw(names[0], _rate(view.rate, shared.top_rate, value), rates, rows=shared.spark_rows)
        rows.append(heading)
        for name, (p50, p99, fractions) in zip(names[1:], latencies, strict=True):
            figure = Text(p50.rjust(value) + p99.rjust(value), f"bold {TEXT}")
            rows += draw(name, figure, fractions, rows=1 if shared.chart_rows else shared.spark_rows)
        return rows


def _rate(now: float | None, top: float, cells: int) -> Text:
    """Return the rate, and that of a full sparkline, each in so many cells."""
    figure = rate(now)
    if now is not None and len(figure) >= cells:
        figure = f"{compact(round(now))}/s"
    row = Text(figure.rjust(cells), f"bold {TEXT}")
    return row.append(("" if now is None else f"≤{compact(round(top))}").rjust(cells), f"not bold {DIM}")


def _narrow(view: PipelineView, width: int) -> list[Text]:
    drawn = [Text("p50".rjust(width - _VALUE) + "p99".rjust(_VALUE), DIM)]
    for label, now in (("API", view.api), ("shown", view.dashboard)):
        row = Text(label.ljust(width - 2 * _VALUE), GREY)
        row.append(latency(now.p50_us).rjust(_VALUE) + latency(now.p99_us).rjust(_VALUE), TEXT)
        drawn.append(row)
    return drawn


def _figure(
    label: str,
    figure: Text,
    fractions: list[float | None],
    *,
    view: PipelineView,
    fault_marks: tuple[bool, ...],
    cells: int,
    rows: int,
) -> list[Text]:
    lines = sparkline(fractions, min(cells, _SPARKLINE_S), rows)
    last = len(lines) - 1
    drawn = [with_fault_marks(line, fault_marks, accent(view), foot=at == last) for at, line in enumerate(lines)]
    found = [Text(" " * len(label)).append(line) for line in drawn]
    found[-1] = Text(label, GREY).append(drawn[-1])
    found[-1].append(" " * (cells - min(cells, _SPARKLINE_S))).append(figure)
    return found


# Drinks and stores.

_LABEL = 11
_COUNT = 9


class _Breakdown(Section):
    """Bars on one scale for all columns."""

    def _counts(self, view: PipelineView) -> tuple[tuple[str, int], ...]:
        raise NotImplementedError

    def inputs(self, view: PipelineView, shared: Shared) -> object:
        """Return what the rows are made of."""
        return self._counts(view), shared.top_count

    def rows(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:
        """Return one row for each name: label, bar, count."""
        room = max(0, width - _LABEL - _COUNT)
        return [
            Text(name.ljust(_LABEL), GREY)
            .append(bar(count / shared.top_count, room).ljust(room), accent(view))
            .append(f"{count:,}".rjust(_COUNT), TEXT if count else GREY)
            for name, count in self._counts(view)
        ]


class Drinks(_Breakdown):
    """Orders by drink."""

    def _counts(self, view: PipelineView) -> tuple[tuple[str, int], ...]:
        return view.drinks


class Stores(_Breakdown):
    """Orders by store."""

    def _counts(self, view: PipelineView) -> tuple[tuple[str, int], ...]:
        return view.stores


# The audit line and the status line.

_COUNTS, _SHORT_COUNTS = ("accepted", "stored", "shown", "in flight"), ("accepted", "stored", "shown", "open")
_ROOMY_AUDIT = 36
"""From this many cells on the audit line has the long labels."""


class Audit(Section):
    """What became of every order, in three rows: what is counted, the counts, and what is wrong with them."""

    SOURCES = frozenset({"redis", "api"})

    def inputs(self, view: PipelineView, shared: Shared) -> object:
        """Return what the rows are made of."""
        return view.counts, view.counts_age_s, view.cost if shared.alone else None

    def rows(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:
        """Return the rows."""
        counts = view.counts
        labels = _COUNTS if width >= _ROOMY_AUDIT else _SHORT_COUNTS
        extra, more = divmod(width - len(" ".join(labels)), len(labels))
        widths = [len(label) + (at > 0) + extra + (at < more) for at, label in enumerate(labels)]
        head = Text("".join(label.rjust(cells) for label, cells in zip(labels, widths, strict=True)), DIM)
        chosen = (None,) * 4 if counts is None else _listed(counts)
        numbers = Text("".join(count(number, cells) for number, cells in zip(chosen, widths, strict=True)), TEXT)
        verdict = _verdict(counts, " · " if width >= _ROOMY_AUDIT else " ")
        age = "" if view.counts_age_s is None else ago(view.counts_age_s)
        if age and verdict.cell_len + 2 + len(age) > width:
            verdict = _verdict(counts, " ", short=True)
        # The age is never what is cut: it says of which moment all the other figures are.
        verdict.truncate(width - (len(age) + 1 if age else 0))
        cost = cost_text(view.cost, named=False) if shared.alone and not age else ""
        gap = width - verdict.cell_len - len(age or cost)
        if age:
            return [head, numbers, verdict.append(" " * gap).append(age, AMBER)]
        return [head, numbers, verdict.append(" " * gap + cost, DIM) if cost and gap > 0 else verdict]


def _listed(counts: PipelineCounts) -> tuple[int | None, ...]:
    return counts.accepted, counts.stored, counts.shown, counts.in_flight


def _verdict(counts: PipelineCounts | None, between: str, *, short: bool = False) -> Text:
    duplicated = "twice" if short else "duplicated"
    if counts is None:
        return Text("· " + between.join(f"{word} {UNKNOWN}" for word in ("lost", duplicated, "drift")), DIM)
    wrong = bool(counts.lost or counts.duplicated or counts.drift)
    row = Text("× " if wrong else "✓ ", RED if wrong else GREY)
    findings = (("lost", counts.lost, ""), (duplicated, counts.duplicated, ""), ("drift", counts.drift, "+"))
    for index, (word, number, sign) in enumerate(findings):
        row.append(between if index else "", DIM)
        row.append(f"{word} {number:{sign if number else ''},}", f"bold {RED}" if number else GREY)
    return row


_UNIT = 3
"""Cells of the longest unit."""
_STATUS_ROWS = 2
"""Rows of a status line without a cure."""
_MOST_EXTRA = 2
"""Rows more for a sentence and its cure, where there are empty ones to spare."""


class Status(Section):
    """The last line of a column: a sentence, wrapped over two rows; with a cure over up to four."""

    SOURCES = frozenset()

    def inputs(self, view: PipelineView, shared: Shared) -> object:
        """Return what the rows are made of."""
        return view.status_line, view.counts, shared.gaps if view.status_line.cure else None

    def rows(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:
        """Return two rows; where one is enough for the sentence, the other has what was dropped on purpose.

        A cure stands below its sentence, in rows of its own.
        """
        glyph, colour = MOOD[view.status_line.mood]
        if view.status_line.cure:
            extra = min(_MOST_EXTRA, shared.gaps)
            sentence = _wrapped(view.status_line.text, width - 2, 1 + (extra + 1) // 2)
            cure = _wrapped(view.status_line.cure, width - 2, _STATUS_ROWS + extra - len(sentence))
            marks = [glyph, *" " * (len(sentence) - 1), "→", *" " * (len(cure) - 1)]
            rows = zip(marks, [*sentence, *cure], strict=True)
            return [Text(f"{mark} {row}", colour) for mark, row in rows]
        first, second = _fold(view.status_line.text, width - 2)
        below = Text(f"  {second}", colour) if second else Text(f"  {dropped_text(view.counts, width - 2)}", DIM)
        return [Text(f"{glyph} {first}", colour), below]


def _wrapped(text: str, width: int, rows: int) -> list[str]:
    """Return a text in so many rows at most; what does not fit is cut."""
    found = []
    while rows > 1 and cell_len(text) > width:
        first, _ = _fold(text, width)
        found.append(first)
        text, rows = text[len(first) :].strip(), rows - 1
    return [*found, clip(text, width)]


def _fold(text: str, width: int) -> tuple[str, str]:
    if cell_len(text) <= width:
        return text, ""
    cut = text.rfind(" ", 0, width + 1)
    # A unit stays with its number.
    if 0 < len(text) - cut - 1 <= _UNIT:
        cut = text.rfind(" ", 0, cut)
    cut = cut if cut > 0 else width
    return text[:cut], clip(text[cut:].strip(" ·"), width)


def dropped_text(counts: PipelineCounts | None, width: int) -> str:
    """Return what of the log became no row on purpose, where there is any."""
    if counts is None:
        return ""
    found = ((counts.duplicates_dropped, "repeat"), (counts.dead_letters, "dead letter"))
    return clip(" · ".join(f"{number:,} {word}{'s' * (number != 1)}" for number, word in found if number), width)


# What processes cost.


def cost_text(cost: CostView | None, *, named: bool = True) -> str:
    """Write one cost: ``worker cpu 9 % · 61 MB``."""
    if cost is None:
        return "cost not known here" if named else ""
    percent = UNKNOWN if cost.percent is None else f"{cost.percent}"
    text = f"cpu {percent} % · {memory(cost.megabytes)}"
    return f"{cost.name} {text}" if named else text


def shared_costs_text(costs: Iterable[CostView]) -> str:
    """Write what all pipelines stand on: ``shared: api 12 % 84 MB · redis 3 % 12 MB``; empty where not known."""
    found = [
        f"{cost.name} {UNKNOWN if cost.percent is None else cost.percent} % {memory(cost.megabytes)}"
        for cost in costs
    ]
    return "shared: " + " · ".join(found) if found else ""
