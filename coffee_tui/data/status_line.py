"""The last line of a column: how the pipeline stands, in one plain sentence; nothing in it is guessed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from coffee_core.pipelines import Pipeline
from coffee_core.standstill import Standstill
from coffee_core.totals import PipelineCounts
from coffee_tui.data.history import LAST_RUN, LAST_UPDATE, NEXT_RUN, OVERDUE
from coffee_tui.data.readings import MetricsReading, stream_of
from coffee_tui.data.snapshot import Health, Link, Mood, PartView, StatusLine

_LATE_US = 2_000_000
"""A run that is due may be under way: it is overdue after this, and twice the time that the last one took."""


@dataclass(frozen=True, slots=True)
class StatusInputs:
    """Everything that a status line may be made of."""

    pipeline: Pipeline
    redis: Link
    api: Link
    mode: str
    now_us: int
    """Microseconds since the epoch."""
    metrics: MetricsReading | None
    """The last reading of Redis; None where it has never been read."""
    troubled: Sequence[PartView]
    """Parts of this pipeline's chain that are not up, in the order of the chain."""
    ready: bool | None
    """Whether the API takes orders for this pipeline; None where it does not answer."""
    stalled_s: int | None
    """Seconds since an order was accepted without any becoming visible."""
    queued: int | None
    """Orders that wait for the processor; None where nobody knows."""
    counts: PipelineCounts | None
    """What became of the orders; None where the API does not know."""
    rate: float | None
    """Orders that became visible per second."""
    interval_us: int | None
    """Microseconds between its last two runs, as seen; None where fewer than two were seen, or where none are."""
    accepted_since_run: int
    """Orders that the API has accepted since anything was last shown."""
    counts_age_s: int | None = None
    """Whole seconds by which the counts are older than the metrics; None where they are of one moment."""
    queue_growth: float | None = None
    """Orders by which those that wait grow a second, below 0 where they drain; None where that is not known."""
    runs: bool = True
    """Whether the stack runs this pipeline at all; it may be started with others than this dashboard has."""
    standstill: Standstill | None = None
    """Why accepted orders wait and nobody works on them, as the API finds it; else None."""


def status_line(inputs: StatusInputs) -> StatusLine:
    """Return how a pipeline stands; what keeps orders from being shown comes first."""
    return (
        _standstill(inputs)
        or _troubled(inputs.troubled, inputs.now_us)
        or _links(inputs)
        or _wrong(inputs.counts)
        or _progress(inputs)
    )


def _standstill(inputs: StatusInputs) -> StatusLine | None:
    if inputs.standstill is None:
        return None
    # A part that is down is the reason, and comes back by itself; one that starts may be what never ends.
    broken = [part for part in inputs.troubled if part.health is Health.BROKEN]
    line = _troubled(broken, inputs.now_us)
    return line or StatusLine(inputs.standstill.reason, Mood.BROKEN, inputs.standstill.cure)


def _wrong(counts: PipelineCounts | None) -> StatusLine | None:
    if counts is None:
        return None
    if counts.lost:
        return StatusLine(f"{counts.lost:,} lost: `coffee audit` says more", Mood.BROKEN)
    if counts.duplicated:
        return StatusLine(f"{counts.duplicated:,} rows beyond the log: `coffee audit` says more", Mood.BROKEN)
    if counts.drift:
        return StatusLine(f"drift {counts.drift:+,}: `coffee reconcile` corrects it", Mood.BROKEN)
    return None


def _links(inputs: StatusInputs) -> StatusLine | None:
    if inputs.redis.up is False:
        return StatusLine(_silent("Redis", inputs.redis), Mood.BROKEN)
    if inputs.metrics is None:
        return StatusLine("waiting for Redis", Mood.BUSY)
    if not inputs.runs:
        return StatusLine(f"{inputs.pipeline} does not run in this stack")
    if inputs.api.up is False:
        return StatusLine(_silent("API", inputs.api), Mood.BROKEN)
    if inputs.ready is False:
        return StatusLine(f"the API takes no {inputs.pipeline} orders now", Mood.BUSY)
    return None


def _silent(name: str, link: Link) -> str:
    since = datetime.fromtimestamp(link.since_us / 1e6).astimezone().strftime("%H:%M:%S")
    return f"{name} silent since {since}: {link.detail}"


def _troubled(parts: Sequence[PartView], now_us: int) -> StatusLine | None:
    for part in parts:
        mood = Mood.BROKEN if part.health is Health.BROKEN else Mood.BUSY
        for_s = f" for {seconds(now_us - part.since_us)}" if part.since_us else ""
        detail = f" · {part.detail}" if part.detail else ""
        return StatusLine(f"{part.name} {part.word}{for_s}{detail}", mood)
    return None


def _progress(inputs: StatusInputs) -> StatusLine:
    assert inputs.metrics is not None, "the links come first"
    if inputs.pipeline.info.shown_in_runs:
        return _runs(inputs, inputs.metrics)
    queued = inputs.queued or 0
    if queued > (inputs.rate or 0) and stream_of(inputs.pipeline) is None and inputs.counts_age_s is not None:
        # How long it takes cannot be told from what waited then and the rate of now.
        stalled = f", none shown for {inputs.stalled_s} s" if inputs.stalled_s is not None else ""
        return StatusLine(f"{queued:,} queued {ago(inputs.counts_age_s)}{stalled}", Mood.BUSY)
    if inputs.stalled_s is not None:
        what = f"{queued:,} queued" if queued else "orders accepted"
        return StatusLine(f"{what}, none shown for {inputs.stalled_s} s", Mood.BUSY)
    if queued > (inputs.rate or 0):
        return StatusLine(f"{queued:,} queued{_trend(queued, inputs.queue_growth or 0.0)}", Mood.BUSY)
    if not inputs.metrics.orders:
        return StatusLine("no order yet")
    dead = inputs.metrics.counters.get("dead", 0)
    # Where the counts are known they stand beside: nothing is written twice.
    refused = f" · {dead:,} dead letter{'s' * (dead != 1)}" if dead and inputs.counts is None else ""
    if stream_of(inputs.pipeline) is not None:
        # While orders flow some are always in hand: the number would only flicker.
        queue = "less than a second queued" if inputs.rate else "nothing queued"
        return StatusLine(f"in step, {queue}{refused}", Mood.GOOD)
    if inputs.rate:
        return StatusLine(f"in step, orders shown as they come{refused}", Mood.GOOD)
    return StatusLine(f"last order shown {_ago(inputs)}{refused}", Mood.GOOD)


def _trend(queued: int, growth: float) -> str:
    if growth <= -1:
        return f", draining at {-growth:,.0f}/s, {queued / -growth:.1f} s left"
    return f", growing by {growth:,.0f}/s" if growth >= 1 else ""


def _runs(inputs: StatusInputs, metrics: MetricsReading) -> StatusLine:
    updated_us = metrics.counters.get(LAST_UPDATE)
    if not updated_us:
        return StatusLine("no run of the aggregator seen yet" if metrics.orders else "no order yet")
    age_us = inputs.now_us - updated_us
    # The last two updates tell an interval only where no reconciliation was one of them.
    due_us, late_us = metrics.counters.get(NEXT_RUN), _LATE_US + 2 * metrics.counters.get(LAST_RUN, 0)
    if not due_us:
        if inputs.interval_us is None:
            return StatusLine(f"last run {seconds(age_us)} ago")
        due_us, late_us = updated_us + inputs.interval_us, round((OVERDUE - 1) * inputs.interval_us)
    if inputs.now_us - due_us > late_us:
        return StatusLine(f"a run is overdue, last {seconds(age_us)} ago", Mood.BROKEN)
    next_s = max(0, round((due_us - inputs.now_us) / 1e6))
    if inputs.accepted_since_run:
        return StatusLine(f"in step at next run, in {next_s} s", Mood.CALM)
    if not metrics.orders:
        return StatusLine(f"no order yet · next run in {next_s} s")
    return StatusLine(f"in step · next run in {next_s} s", Mood.GOOD)


def ago(age_s: int) -> str:
    """Write an age: ``14 s ago``."""
    return f"{seconds(age_s * 1_000_000)} ago"


def _ago(inputs: StatusInputs) -> str:
    assert inputs.metrics is not None, "the links come first"
    updated_us = inputs.metrics.counters.get(LAST_UPDATE)
    return f"{seconds(inputs.now_us - updated_us)} ago" if updated_us else "some time ago"


def seconds(span_us: int) -> str:
    """Write a span for a status line: ``4 s``, ``3 min``, ``2 h``."""
    whole = max(0, span_us // 1_000_000)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7_200 else f"{whole // 3_600} h"
