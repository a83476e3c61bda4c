"""What waits for what at a start: the phases of each part, as a chart or as JSON (``coffee up --timings``)."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_WIDTH = 60
_NAME_WIDTH = 22


class Phase(StrEnum):
    """What a part does until it is up."""

    WAITS = "waits"
    """For what it needs."""
    PREPARES = "prepares"
    """What must be done before its process is there."""
    STARTS = "starts"
    """Its process runs and does not answer yet."""
    SETTLES = "settles"
    """It answers; migrations, topics and the like are made."""


_MARKS = {Phase.WAITS: "·", Phase.PREPARES: "░", Phase.STARTS: "▒", Phase.SETTLES: "█"}


@dataclass(frozen=True, slots=True)
class Span:
    """One phase of one part; times are seconds since the epoch."""

    part: str
    phase: Phase
    begin_s: float
    end_s: float
    detail: str = ""
    """What it waits for, or does, in a few words; empty where the phase says all."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end_s - self.begin_s


class PartTimer:
    """Takes the times of the first start of one part; what comes after it is up is no start."""

    def __init__(self, part: str, clock: Callable[[], float] = time.time) -> None:
        """``clock`` returns seconds since the epoch."""
        self._part = part
        self._clock = clock
        self._now: tuple[Phase, str, float] | None = None
        self._is_up = False
        self.spans: list[Span] = []
        """The phases that have ended, in their order."""

    def begin(self, phase: Phase, detail: str = "") -> None:
        """Begin a phase, which ends the one before; one that goes on is not begun again."""
        if self._is_up or (self._now is not None and self._now[:2] == (phase, detail)):
            return
        self._end_phase()
        self._now = (phase, detail, self._clock())

    def up(self) -> None:
        """End the start."""
        self._end_phase()
        self._is_up = True

    def _end_phase(self) -> None:
        if self._now is not None:
            phase, detail, begin_s = self._now
            self.spans.append(Span(self._part, phase, begin_s, self._clock(), detail))
        self._now = None


def as_json(spans: Iterable[Span], begin_s: float) -> list[dict[str, Any]]:
    """Return the spans as objects, times in seconds since the start at ``begin_s``."""
    return [
        {
            "part": span.part,
            "phase": span.phase,
            "begin_s": round(span.begin_s - begin_s, 3),
            "end_s": round(span.end_s - begin_s, 3),
            "detail": span.detail,
        }
        for span in spans
    ]


def chart(spans: Sequence[Span], begin_s: float) -> list[str]:
    """Return the lines of a chart of a start that began at ``begin_s``: a part a row, and its longest phase."""
    length_s = max((span.end_s for span in spans), default=begin_s) - begin_s
    scale = _WIDTH / max(length_s, 0.001)
    head = f"{'':<{_NAME_WIDTH}}0 s{f'{length_s:.1f} s':>{_WIDTH - 3}}   up at  the longest of it"
    rows = []
    for part in dict.fromkeys(span.part for span in spans):
        own = [span for span in spans if span.part == part]
        cells = [" "] * _WIDTH
        for span in own:
            first = min(_WIDTH - 1, max(0, int((span.begin_s - begin_s) * scale)))
            last = min(_WIDTH, max(first + 1, round((span.end_s - begin_s) * scale)))
            cells[first:last] = _MARKS[span.phase] * (last - first)
        up_s = max(span.end_s for span in own) - begin_s
        longest = max(own, key=lambda span: span.seconds)
        words = f"{longest.phase} {longest.seconds:.1f} s {longest.detail}".rstrip()
        rows.append(f"{part:<{_NAME_WIDTH}}{''.join(cells)}  {up_s:5.1f} s  {words}")
    return [head, *rows, "  ".join(f"{mark} {phase}" for phase, mark in _MARKS.items())]
