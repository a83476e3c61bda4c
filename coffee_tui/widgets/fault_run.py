"""A run of a fault: where it stands, what each pipeline does meanwhile, the verdict."""

from rich.text import Text

from coffee_tui.feed.faults_view import FaultVerdict, FaultView, Phase
from coffee_tui.feed.snapshot import PipelineView, Snapshot, largest_rate
from coffee_tui.theme import ACCENT, AMBER, GREY, RED, TEXT
from coffee_tui.widgets.marks import marked
from coffee_tui.widgets.scale import sparkline
from coffee_tui.widgets.text import rate

_NAME, _RATE = 4, 9
_MOST_CELLS = 60
"""Cells of a sparkline: a minute is enough to see a fault in."""


def fault_run(view: FaultView, snapshot: Snapshot, now_s: float, width: int) -> Text:
    """Return the run in rows of at most ``width`` cells."""
    rows = [_headline(view, now_s)]
    top = largest_rate(snapshot.pipelines)
    verdicts = {verdict.pipeline: verdict for verdict in view.verdicts}
    back = dict(view.visible)
    for column in snapshot.pipelines:
        verdict = verdicts.get(column.pipeline)
        if verdict is not None and view.phase is Phase.ENDED:
            rows += _verdict(verdict)
        else:
            rows.append(_pace(column, snapshot.faults, top, back.get(column.pipeline), view, width))
    for row in rows:
        row.truncate(width, overflow="ellipsis")
    return Text("\n", no_wrap=True, end="").join(rows)


def _headline(view: FaultView, now_s: float) -> Text:
    if view.phase is Phase.IDLE:
        return Text("nothing broken yet: each pipeline's orders per second, marked while a fault is felt", GREY)
    if view.phase is Phase.ENDED:
        if view.trouble:
            return Text(f"× {view.name}: {view.trouble}", AMBER)
        if all(verdict.exact for verdict in view.verdicts):
            return Text(f"✓ {view.name}: not one order lost, duplicated or adrift", f"bold {TEXT}")
        return Text(f"× {view.name}: NOT EXACT", f"bold {RED}")
    row = Text("× " if view.felt else "… ", RED if view.felt else AMBER).append(view.name, f"bold {TEXT}")
    row.append(f"  {view.clock(now_s)}", RED if view.felt else AMBER)
    said = view.said.removeprefix(f"{view.name}: ")
    return row if said == "now" else row.append(f"   {said}", GREY)


def _pace(
    column: PipelineView, marks: tuple[bool, ...], top: float, back_s: float | None, view: FaultView, width: int
) -> Text:
    cells = max(8, min(_MOST_CELLS, width - _NAME - _RATE - 20))
    (line,) = sparkline([None if one is None else one / top for one in column.rate_history], cells, 1)
    row = Text(f"{column.pipeline}".ljust(_NAME), f"bold {ACCENT[column.pipeline]}")
    row.append(marked(line, marks, ACCENT[column.pipeline])).append(rate(column.rate).rjust(_RATE), TEXT)
    if back_s is not None:
        row.append(f"   back after {back_s:.1f} s", TEXT)
    elif view.felt and column.pipeline in view.pipelines:
        row.append("   not back yet", RED)
    return row


def _verdict(verdict: FaultVerdict) -> list[Text]:
    glyph, colour = ("✓", TEXT) if verdict.exact else ("×", RED)
    said = verdict.sentence.removeprefix(f"{verdict.pipeline}: ")
    row = Text(f"{verdict.pipeline}".ljust(_NAME), f"bold {ACCENT[verdict.pipeline]}")
    return [row.append(f"{glyph} {said}", colour), *(Text(f"      {line}", RED) for line in verdict.wrong)]
