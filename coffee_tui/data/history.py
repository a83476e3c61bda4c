"""Short memories of cumulative readings: what was added within a window, how fast, how late."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from coffee_core.clock import now_us
from coffee_core.latency import difference, quantile_us
from coffee_core.pipelines import Pipeline
from coffee_tui.data.readings import MetricsReading
from coffee_tui.data.snapshot import Quantiles

WINDOW_S = 10.0
"""Seconds over which quantiles are taken."""
RATE_S = 3.0
"""Seconds over which the rate of a pipeline without a schedule is taken."""
SLOTS = 300
"""Seconds that a sparkline reaches back."""
OVERDUE = 2.0
"""A run is overdue after this many intervals."""
FINISHED_UNSHOWN = ("duplicates", "dead")
"""Counters: entries of a log that a processor has finished without showing an order."""
LAST_UPDATE = "last_update_us"
"""Counter: when the metric keys were last written, microseconds since the epoch."""
NEXT_RUN = "next_run_us"
"""Counter of a pipeline that is shown in runs: when the next one is due, microseconds since the epoch."""
LAST_RUN = "last_run_us"
"""Counter of a pipeline that is shown in runs: how long the last one took, µs."""
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment by both clocks of the feed, so that a test can hold them still."""

    at_s: float = field(default_factory=time.monotonic)
    """Monotonic seconds: for windows and rates."""
    time_us: int = field(default_factory=now_us)
    """Microseconds since the epoch: for what is shown and compared with other processes."""


class Changes(Generic[_Value]):
    """A step function of time: its value from each change on, as far back as a window needs."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._steps: deque[tuple[float, _Value]] = deque()

    def add(self, at_s: float, value: _Value) -> None:
        """Note the value at a moment (monotonic seconds, never decreasing)."""
        if not self._steps or self._steps[-1][1] != value:
            self._steps.append((at_s, value))
        # Two steps stay in any case: the last change is asked for, however long ago it was.
        while len(self._steps) > 2 and self._steps[1][0] <= at_s - self._span_s:
            self._steps.popleft()

    def at(self, moment_s: float) -> tuple[float, _Value] | None:
        """Return (since when, value) at a moment; the first value known where the moment lies before it."""
        found = self._steps[0] if self._steps else None
        for step in self._steps:
            if step[0] > moment_s:
                break
            found = step
        return found

    def last_two(self) -> tuple[tuple[float, _Value], tuple[float, _Value]] | None:
        """Return the last two steps, or None where nothing has changed yet."""
        return (self._steps[-2], self._steps[-1]) if len(self._steps) > 1 else None


class Meter:
    """How fast a cumulative count grows, over the last ``span_s`` seconds."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._changes: Changes[int] = Changes(span_s)
        self._first_s: float | None = None
        self._now = 0

    def add(self, at_s: float, count: int) -> None:
        """Note the count at a moment (monotonic seconds)."""
        if self._first_s is None:
            self._first_s = at_s
        self._now = count
        self._changes.add(at_s, count)

    def slope(self, now_s: float) -> float | None:
        """Return the growth per second, below 0 where it shrinks; None where there is only one reading."""
        before = self._changes.at(now_s - self._span_s)
        if before is None or self._first_s is None or now_s <= self._first_s:
            return None
        return (self._now - before[1]) / min(self._span_s, max(1.0, now_s - self._first_s))

    def rate(self, now_s: float) -> float | None:
        """Return the growth per second, never below 0; None where there is only one reading."""
        slope = self.slope(now_s)
        return None if slope is None else max(0.0, slope)


class Histogram:
    """A cumulative histogram over time."""

    def __init__(self) -> None:
        self._changes: Changes[Mapping[int, int]] = Changes(WINDOW_S)
        self._now: Mapping[int, int] = {}

    def add(self, at_s: float, counts: Mapping[int, int]) -> None:
        """Note a reading."""
        self._now = dict(counts)
        self._changes.add(at_s, self._now)

    def within(self, now_s: float, span_s: float) -> dict[int, int]:
        """Return what was counted in the last ``span_s`` seconds."""
        before = self._changes.at(now_s - span_s)
        return {} if before is None else difference(self._now, before[1])

    def last_change(self) -> dict[int, int]:
        """Return what was counted by the last change."""
        steps = self._changes.last_two()
        return {} if steps is None else difference(steps[1][1], steps[0][1])


def quantiles(counts: Mapping[int, int]) -> Quantiles:
    """Return p50 and p99 of a histogram."""
    return Quantiles(quantile_us(counts, 0.5), quantile_us(counts, 0.99))


class PipelineHistory:
    """What the dashboard remembers of one pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        # Such a pipeline is written by a run every few seconds: between two runs nothing is slow or has stopped.
        self._in_runs = pipeline.info.shown_in_runs
        self._orders, self._finished, self._accepted = Meter(RATE_S), Meter(RATE_S), Meter(RATE_S)
        self._queued = Meter(RATE_S)
        self._runs: Changes[tuple[int, int]] = Changes(0.0)
        self._api, self._dashboard = Histogram(), Histogram()
        self._slot_s: float | None = None
        self.rates: deque[float | None] = deque(maxlen=SLOTS)
        self.api_p99: deque[float | None] = deque(maxlen=SLOTS)
        self.dashboard_p99: deque[float | None] = deque(maxlen=SLOTS)

    def add_metrics(self, at_s: float, reading: MetricsReading) -> None:
        """Note a reading of Redis at a moment (monotonic seconds)."""
        self._orders.add(at_s, reading.orders)
        self._finished.add(at_s, reading.orders + sum(reading.counters.get(name, 0) for name in FINISHED_UNSHOWN))
        self._dashboard.add(at_s, reading.latency)
        if updated_us := reading.counters.get(LAST_UPDATE, 0):
            self._runs.add(at_s, (updated_us, reading.orders))

    def add_api(self, at_s: float, latency: Mapping[int, int], accepted: int) -> None:
        """Note the API's cumulative histogram and its count of 2xx answers at a moment (monotonic seconds)."""
        self._api.add(at_s, latency)
        self._accepted.add(at_s, accepted)

    def add_queued(self, at_s: float, queued: int) -> None:
        """Note how many orders wait for the processor at a moment (monotonic seconds)."""
        self._queued.add(at_s, queued)

    def begin_anew(self) -> None:
        """Forget what was read of Redis: what has come while nobody could read came at nobody knows which rate."""
        self._orders, self._finished, self._queued = Meter(RATE_S), Meter(RATE_S), Meter(RATE_S)
        self._dashboard = Histogram()

    def slot(self, now_s: float, *, unread: bool = False) -> None:
        """Close one second of the sparklines; ``unread``: in which Redis could not be read."""
        self.rates.append(None if unread else self.rate(now_s))
        # The API is asked once a second: over a single second every other answer would fall into a gap.
        self.api_p99.append(quantile_us(self._api.within(now_s, 2.0), 0.99))
        since_s = now_s - self._slot_s if self._slot_s is not None else 1.0
        recent = self._dashboard.last_change() if self._in_runs else self._dashboard.within(now_s, since_s)
        self._slot_s = now_s
        self.dashboard_p99.append(None if unread else quantile_us(recent, 0.99))

    @property
    def interval_us(self) -> int | None:
        """Microseconds between the last two runs that were seen, where there are runs."""
        runs = self._runs.last_two()
        return runs[1][1][0] - runs[0][1][0] if runs and self._in_runs else None

    def rate(self, now_s: float) -> float | None:
        """Return the orders that became visible per second, or None where it cannot be known yet."""
        if self._in_runs:
            runs = self._runs.last_two()
            if runs is None:
                return None
            (_, (from_us, from_orders)), (seen_s, (to_us, to_orders)) = runs
            interval_s = max(1e-6, (to_us - from_us) / 1e6)
            overdue = now_s - seen_s > OVERDUE * interval_s
            return None if overdue else max(0.0, (to_orders - from_orders) / interval_s)
        return self._orders.rate(now_s)

    def accepted(self, now_s: float) -> float | None:
        """Return the 2xx answers per second, or None where it cannot be known yet."""
        return self._accepted.rate(now_s)

    def queue_growth(self, now_s: float) -> float | None:
        """Return by how much what waits grows a second, below 0 where it drains; None where that is not known."""
        return self._queued.slope(now_s)

    def finished(self, now_s: float) -> float | None:
        """Return how many entries of its log the processor finishes per second; of runs, what they show."""
        return self.rate(now_s) if self._in_runs else self._finished.rate(now_s)

    def dashboard(self, now_s: float) -> Quantiles:
        """Return the dashboard latency of the window; where there are runs, of the last that brought orders."""
        return quantiles(
            self._dashboard.last_change() if self._in_runs else self._dashboard.within(now_s, WINDOW_S)
        )

    def api(self, now_s: float) -> Quantiles:
        """Return the latency of the API's answers within the window."""
        return quantiles(self._api.within(now_s, WINDOW_S))
