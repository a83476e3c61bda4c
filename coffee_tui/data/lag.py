"""How far consumers are behind, as the API tells, and where that leads: the trend over the last seconds."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from math import sqrt
from typing import TYPE_CHECKING, Any

from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings
from coffee_tui.data.connection import one_line
from coffee_tui.data.readings import ReadingError

if TYPE_CHECKING:
    from aiohttp import ClientSession

_TIMEOUT_S = 3.0
TREND_S = 6.0
"""Seconds of readings that a trend is of."""
_LEAST_S, _LEAST_READINGS = 3.0, 4
_LEAST_CHANGE = 10
"""Entries by which a lag must have changed within them: fewer are in hand now and then."""
_ERRORS = 2.0
"""Standard errors of the slope by which it must differ from 0."""
KEPT_S = 120
"""Readings kept, one a second."""


@dataclass(frozen=True, slots=True)
class LagRow:
    """What one consumer has yet to finish of one partition."""

    group: str
    """Consumer group."""
    partition: str
    """Number of the partition, or the key of a log that has none."""
    consumer: str | None
    """Who reads it; empty: nobody; None: not known."""
    waiting: int | None
    """Entries, of a topic offsets; None: not known."""
    note: str = ""
    """What the number is."""

    @property
    def place(self) -> tuple[str, str, str]:
        """What makes it the same row in the next reading."""
        return self.group, self.partition, "" if self.partition.isdecimal() else f"{self.consumer}"


class Course(StrEnum):
    """Where a lag leads."""

    LEVEL = "level"
    GROWING = "growing"
    DRAINING = "draining"
    UNKNOWN = "not known yet"


@dataclass(frozen=True, slots=True)
class Trend:
    """Where a lag leads, and how fast."""

    course: Course = Course.UNKNOWN
    per_s: float = 0.0
    """Entries a second by which it grows; negative: drains."""
    level_in_s: float | None = None
    """Seconds until nothing waits, if it goes on like this; None unless it drains."""


def trend(readings: Iterable[tuple[float, int]]) -> Trend:
    """Return the trend of readings (seconds, entries that wait), the oldest first: a line of least squares.

    Where nothing waits any more, its slope cannot be told from 0 (two standard errors) or is too little to matter,
    the lag is level.
    """
    points = list(readings)
    if points and not points[-1][1]:
        return Trend(Course.LEVEL)
    span_s = points[-1][0] - points[0][0] if points else 0.0
    if span_s < _LEAST_S or len(points) < _LEAST_READINGS:
        return Trend()
    mean_s = sum(at_s for at_s, _ in points) / len(points)
    mean = sum(waiting for _, waiting in points) / len(points)
    spread = sum((at_s - mean_s) ** 2 for at_s, _ in points)
    slope = sum((at_s - mean_s) * (waiting - mean) for at_s, waiting in points) / spread
    off = sum((waiting - mean - slope * (at_s - mean_s)) ** 2 for at_s, waiting in points)
    error = sqrt(off / (len(points) - 2) / spread)
    if abs(slope) <= _ERRORS * error or abs(slope) * span_s < _LEAST_CHANGE:
        return Trend(Course.LEVEL)
    if slope > 0:
        return Trend(Course.GROWING, slope)
    return Trend(Course.DRAINING, slope, points[-1][1] / -slope)


@dataclass(frozen=True, slots=True)
class LagView:
    """What is shown of one pipeline's lags."""

    rows: tuple[LagRow, ...] | None = None
    """The last ones; None before they are known."""
    problem: str = ""
    """Why they are not known, or no longer read."""


@dataclass(slots=True)
class LagHistory:
    """Readings of the last minutes, of each row and of each group as a whole."""

    _kept: dict[tuple[str, ...], deque[tuple[float, int]]] = field(default_factory=dict)

    def add(self, at_s: float, rows: Iterable[LagRow]) -> None:
        """Take a reading at a moment (monotonic seconds); where one row is not known, its group is not, either."""
        whole: dict[tuple[str, ...], int | None] = {}
        for row in rows:
            self._note(row.place, at_s, row.waiting)
            before = whole.get((row.group,), 0)
            whole[row.group,] = None if before is None or row.waiting is None else before + row.waiting
        for place, waiting in whole.items():
            self._note(place, at_s, waiting)

    def _note(self, place: tuple[str, ...], at_s: float, waiting: int | None) -> None:
        if waiting is None:
            self._kept.pop(place, None)
        else:
            self._kept.setdefault(place, deque(maxlen=KEPT_S)).append((at_s, waiting))

    def trend(self, *place: str) -> Trend:
        """Return the trend of a row's ``place``, or of a group."""
        readings = self._kept.get(place, ())
        last_s = readings[-1][0] if readings else 0.0
        return trend(reading for reading in readings if reading[0] >= last_s - TREND_S)

    def past(self, *place: str) -> list[int]:
        """Return what waited, one value a reading, the oldest first."""
        return [waiting for _, waiting in self._kept.get(place, ())]


async def read_lag(settings: Settings, pipeline: Pipeline, last: LagView) -> LagView:
    """Ask the API; where that fails, the last rows stay, with the reason."""
    from aiohttp import ClientError, ClientSession

    try:
        async with ClientSession(headers=settings.authorization) as session:
            return LagView(await _rows(session, settings.api_url, pipeline))
    except (ClientError, OSError, TimeoutError, ReadingError) as error:
        return LagView(last.rows, one_line(error))


async def _rows(session: "ClientSession", api_url: str, pipeline: Pipeline) -> tuple[LagRow, ...]:
    from aiohttp import ClientTimeout

    path = f"/api/{pipeline}/lag"
    async with session.get(f"{api_url}{path}", timeout=ClientTimeout(total=_TIMEOUT_S)) as answer:
        try:
            body: dict[str, Any] = await answer.json(content_type=None)
            if answer.status != 200:
                raise ReadingError(str(body.get("detail") or f"GET {path} answered {answer.status}"))
            return tuple(LagRow(**each) for each in body["lags"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReadingError(f"GET {path} answered something else: {error}") from error
