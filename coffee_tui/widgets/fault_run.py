"""A run of a fault: where it stands, what each pipeline does meanwhile, the verdict."""

from rich.text import Text

from coffee_tui.feed.faults_view import FaultVerdict, FaultView, Phase
from coffee_tui.feed.snapshot import PipelineView, Snapshot, largest_rate
from coffee_tui.theme import ACCENT, AMBER, DIM, GREY, RED, TEXT
from coffee_tui.widgets.marks import marked
from coffee_tui.widgets.scale import sparkline, time_axis
from coffee_tui.widgets.text import compact, rate

_NAME, _RATE, _BACK = 4, 9, 20


def fault_run(view: FaultView, snapshot: Snapshot, now_s: float, width: int, spark_rows: int = 1) -> Text:
    """Return the run in rows of at most ``width`` cells; its sparklines are so many rows high."""
    rows = [_headline(view, now_s)]
    cells = max(8, width - _NAME - _RATE - _BACK)
    top = largest_rate(snapshot.pipelines)
    verdicts = {verdict.pipeline: verdict for verdict in view.verdicts}
    back = dict(view.visible)
    for column in snapshot.pipelines:
        verdict = verdicts.get(column.pipeline)
        if verdict is not None and view.phase is Phase.ENDED:
            rows += _verdict(verdict)
        else:
            said = _back(column, back.get(column.pipeline), view)
            rows += _pace(column, snapshot.faults, top, cells, spark_rows, said)
    if not (verdicts and view.phase is Phase.ENDED):
        rows.append(Text(" " * _NAME + time_axis(cells, 1) + f"≤{compact(round(top))}/s".rjust(_RATE), DIM))
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
    column: PipelineView, marks: tuple[bool, ...], top: float, cells: int, spark_rows: int, said: Text
) -> list[Text]:
    accent = ACCENT[column.pipeline]
    lines = sparkline([None if one is None else one / top for one in column.rate_history], cells, spark_rows)
    # High ones stand apart.
    rows = [Text()] * (spark_rows > 1)
    rows += [Text(" " * _NAME).append(marked(line, marks, accent, foot=False)) for line in lines[:-1]]
    last = Text(f"{column.pipeline}".ljust(_NAME), f"bold {accent}").append(marked(lines[-1], marks, accent))
    return [*rows, last.append(rate(column.rate).rjust(_RATE), TEXT).append(said)]


def _back(column: PipelineView, back_s: float | None, view: FaultView) -> Text:
    if back_s is not None:
        return Text(f"   back after {back_s:.1f} s", TEXT)
    waited_for = view.felt and column.pipeline in view.pipelines
    return Text("   not back yet" if waited_for else "", RED)


def _verdict(verdict: FaultVerdict) -> list[Text]:
    glyph, colour = ("✓", TEXT) if verdict.exact else ("×", RED)
    said = verdict.sentence.removeprefix(f"{verdict.pipeline}: ")
    row = Text(f"{verdict.pipeline}".ljust(_NAME), f"bold {ACCENT[verdict.pipeline]}")
    return [row.append(f"{glyph} {said}", colour), *(Text(f"      {line}", RED) for line in verdict.wrong)]
