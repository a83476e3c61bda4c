"""The last line of a column: a sentence that a person would say, true or saying that it does not know."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from coffee_core.pipelines import Pipeline
from coffee_core.totals import PipelineCounts
from coffee_tui.data.history import LAST_UPDATE, OVERDUE
from coffee_tui.data.readings import MetricsReading, stream_of
from coffee_tui.data.snapshot import Health, Link, Mood, PartView, Sentence


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that a sentence may be made of."""

    pipeline: Pipeline
    redis: Link
    api: Link
    mode: str
    now_us: int
    """Microseconds since the epoch."""
    metrics: MetricsReading | None
    """What Redis said last; None where it has never been read."""
    troubled: Sequence[PartView]
    """Parts of this pipeline's chain that are not up, in the order of the chain."""
    ready: bool | None
    """Whether the API takes orders for this pipeline; None where it has not said."""
    stalled_s: int | None
    """Seconds since an order was accepted without any becoming visible."""
    queued: int | None
    """Orders that wait for the processor; None where nobody knows."""
    account: PipelineCounts | None
    """What became of the orders; None where the API has not said."""
    rate: float | None
    """Orders that became visible per second."""
    interval_us: int | None
    """Microseconds between its last two runs, as seen; None where fewer than two were seen, or where none are."""
    accepted_since_run: int
    """Orders that the API has accepted since anything was last shown."""


def sentence(known: Known) -> Sentence:
    """Say how a pipeline stands; what keeps orders from being shown comes first."""
    return _troubled(known) or _links(known) or _wrong(known.account) or _progress(known)


def _wrong(account: PipelineCounts | None) -> Sentence | None:
    if account is None:
        return None
    if account.lost:
        return Sentence(f"{account.lost:,} lost: `coffee audit` says more", Mood.BROKEN)
    if account.duplicated:
        return Sentence(f"{account.duplicated:,} rows beyond the log: `coffee audit` says more", Mood.BROKEN)
    if account.drift:
        return Sentence(f"drift {account.drift:+,}: `coffee reconcile` corrects it", Mood.BROKEN)
    return None


def _links(known: Known) -> Sentence | None:
    if known.redis.up is False:
        return Sentence(_silent("Redis", known.redis), Mood.BROKEN)
    if known.metrics is None:
        return Sentence("waiting for Redis", Mood.BUSY)
    if known.api.up is False:
        return Sentence(_silent("API", known.api), Mood.BROKEN)
    if known.ready is False:
        return Sentence(f"the API takes no {known.pipeline} orders now", Mood.BUSY)
    return None


def _silent(name: str, link: Link) -> str:
    since = datetime.fromtimestamp(link.since_us / 1e6).astimezone().strftime("%H:%M:%S")
    return f"{name} silent since {since}: {link.detail}"


def _troubled(known: Known) -> Sentence | None:
    for part in known.troubled:
        mood = Mood.BROKEN if part.health is Health.BROKEN else Mood.BUSY
        for_s = f" for {seconds(known.now_us - part.since_us)}" if part.since_us else ""
        detail = f" · {part.detail}" if part.detail else ""
        return Sentence(f"{part.name} {part.word}{for_s}{detail}", mood)
    return None


def _progress(known: Known) -> Sentence:
    assert known.metrics is not None, "the links come first"
    if known.pipeline.info.shown_in_runs:
        return _runs(known, known.metrics)
    queued = known.queued or 0
    if known.stalled_s is not None:
        what = f"{queued:,} queued" if queued else "orders accepted"
        return Sentence(f"{what}, none shown for {known.stalled_s} s", Mood.BUSY)
    if queued > (known.rate or 0):
        left = f", {queued / known.rate:.1f} s left" if known.rate else ""
        pace = f", draining at {known.rate:,.0f}/s" if known.rate else ""
        return Sentence(f"{queued:,} queued{pace}{left}", Mood.BUSY)
    if not known.metrics.orders:
        return Sentence("no order yet")
    dead = known.metrics.counters.get("dead", 0)
    # Where the account is known it stands beside: nothing is said twice.
    refused = f" · {dead:,} dead letter{'s' * (dead != 1)}" if dead and known.account is None else ""
    if stream_of(known.pipeline) is not None:
        # While orders flow some are always in hand: a number that flickers would say nothing.
        queue = "less than a second queued" if known.rate else "nothing queued"
        return Sentence(f"in step, {queue}{refused}", Mood.GOOD)
    if known.rate:
        return Sentence(f"in step, orders shown as they come{refused}", Mood.GOOD)
    return Sentence(f"last order shown {_ago(known)}{refused}", Mood.GOOD)


def _runs(known: Known, metrics: MetricsReading) -> Sentence:
    updated_us = metrics.counters.get(LAST_UPDATE)
    if not updated_us:
        return Sentence("no run of the aggregator seen yet" if metrics.orders else "no order yet")
    age_us = known.now_us - updated_us
    if known.interval_us is None:
        return Sentence(f"last run {seconds(age_us)} ago")
    if age_us > OVERDUE * known.interval_us:
        return Sentence(f"a run is overdue, last {seconds(age_us)} ago", Mood.BROKEN)
    next_s = max(0, round((known.interval_us - age_us) / 1e6))
    if known.accepted_since_run:
        return Sentence(f"in step at next run, in {next_s} s", Mood.CALM)
    if not metrics.orders:
        return Sentence(f"no order yet · next run in {next_s} s")
    return Sentence(f"in step · next run in {next_s} s", Mood.GOOD)


def _ago(known: Known) -> str:
    assert known.metrics is not None, "the links come first"
    updated_us = known.metrics.counters.get(LAST_UPDATE)
    return f"{seconds(known.now_us - updated_us)} ago" if updated_us else "some time ago"


def seconds(span_us: int) -> str:
    """Write a span for a sentence: ``4 s``, ``3 min``, ``2 h``."""
    whole = max(0, span_us // 1_000_000)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7_200 else f"{whole // 3_600} h"
