"""A session in a file: one line of JSON for each snapshot and each view of the orders, compressed.

The first line is the heading; every other one ``{"t": seconds, "s": change}`` or ``{"t": seconds, "o": change}``,
a change being one to the line of its kind before, from the default value on. Whole values on every line, left to
gzip, would do for a minute (80 KB instead of 49), not once the histories are full: a line with five
minutes of them has 25 KB, the file is four times as large, and with five pipelines a line is longer than the 32 KB
that gzip looks back.
"""

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coffee_core.errors import CoffeeError
from coffee_core.pipelines import Pipeline
from coffee_tui.data.live import Publish
from coffee_tui.data.load_plan import LoadPlan
from coffee_tui.data.orders import Journal, PublishOrders
from coffee_tui.data.plain import from_plain, to_plain
from coffee_tui.data.preferences import Preferences
from coffee_tui.data.snapshot import OrdersView, Snapshot

SPEEDS = (0.25, 0.5, 1.0, 2.0, 5.0, 20.0)
"""Speeds that can be chosen."""
_FORMAT = "coffee-rt recording 2"
_FLUSH_S = 1.0
_KINDS = {"s": Snapshot, "o": OrdersView}
# A loss of power cuts a file anywhere: what can be read until there is played.
_CUT = (EOFError, zlib.error)
_LONGEST_TAIL = 5
_PAUSE_AT_END_S = 3.0
_REFUSAL = "a recording takes no orders: start a lab with `coffee up`"


class RecordingError(CoffeeError):
    """The file is no recording of this dashboard."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What was shown from one moment on."""

    at_s: float
    """Seconds since the beginning of the recording."""
    value: Snapshot | OrdersView
    """The whole value, not the change."""


class Recorder:
    """Writes a recording, until it is closed."""

    def __init__(self, path: Path, pipelines: tuple[Pipeline, ...]) -> None:
        """Create the file, or empty it. Raises OSError where it cannot be written."""
        self._file = gzip.open(path, "wt", encoding="utf-8")  # noqa: SIM115
        self._last = {kind: to_plain(of()) for kind, of in _KINDS.items()}
        self._begun_s, self._flushed_s = time.monotonic(), 0.0
        self._write({"format": _FORMAT, "pipelines": pipelines})

    def close(self) -> None:
        """Complete the file."""
        self._file.close()

    def write(self, value: Snapshot | OrdersView) -> None:
        """Write what is shown from now on."""
        kind, plain = ("s" if isinstance(value, Snapshot) else "o"), to_plain(value)
        self._write({"t": round(time.monotonic() - self._begun_s, 3), kind: delta(self._last[kind], plain)})
        self._last[kind] = plain

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")
        if time.monotonic() - self._flushed_s > _FLUSH_S:
            self._flushed_s = time.monotonic()
            self._file.flush()


def read_recording(path: Path) -> tuple[tuple[Pipeline, ...], list[Frame]]:
    """Return the pipelines and the frames of a recording, as far as it can be read.

    Raises RecordingError where it is none, OSError where the file cannot be opened.
    """
    lines = _lines(path)
    try:
        head: dict[str, Any] = next(lines, {})
        if head.get("format") != _FORMAT:
            raise RecordingError(f"{path} is no recording of this dashboard")
        return tuple(map(Pipeline, head["pipelines"])), list(_frames(lines))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordingError(f"{path} cannot be played: {type(error).__name__}: {error}") from error


def _lines(path: Path) -> Iterator[Any]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        try:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)
        except gzip.BadGzipFile as error:
            raise RecordingError(f"{path} is no recording of this dashboard") from error
        except _CUT:
            return


def _frames(lines: Iterator[Any]) -> Iterator[Frame]:
    last = {kind: to_plain(of()) for kind, of in _KINDS.items()}
    for line in lines:
        kind = "s" if "s" in line else "o"
        last[kind] = patch(last[kind], line[kind])
        yield Frame(float(line["t"]), from_plain(_KINDS[kind], last[kind]))


def delta(before: Any, now: Any) -> Any:
    """Return the change that leads from one plain value to another of the same kind.

    A changed scalar is itself; of an object the changed fields; ``{"#": {index: change}}`` of an array whose
    objects changed; ``{"+": tail, "n": length}`` of a sliding window; ``{"=": array}`` of any other array.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        return {name: delta(before.get(name), value) for name, value in now.items() if before.get(name) != value}
    if isinstance(now, list):
        return _array(before if isinstance(before, list) else [], now)
    return {"=": now} if isinstance(now, dict) else now


def _array(before: list[Any], now: list[Any]) -> dict[str, Any]:
    if len(before) == len(now) and all(isinstance(item, dict) for item in (*before, *now)):
        pairs = enumerate(zip(before, now, strict=True))
        return {"#": {str(index): delta(old, new) for index, (old, new) in pairs if old != new}}
    for length in range(1, min(_LONGEST_TAIL, len(now)) + 1):
        if len(now) > length and (before + now[-length:])[-len(now) :] == now:
            return {"+": now[-length:], "n": len(now)}
    return {"=": now}


def patch(before: Any, change: Any) -> Any:
    """Return what a change makes of a value; ``before`` stays as it is."""
    if not isinstance(change, dict):
        return change
    if "=" in change:
        return change["="]
    if "+" in change:
        return (before + change["+"])[-change["n"] :]
    if "#" in change:
        return [patch(item, change["#"].get(str(index), {})) for index, item in enumerate(before)]
    return {**before, **{name: patch(before.get(name), value) for name, value in change.items()}}


class Player:
    """Plays a recording as if it were a stack: a feed, with speed, pause and step, and orders that take none."""

    def __init__(self, frames: Sequence[Frame], *, speed: float = 1.0, again: bool = False) -> None:
        self.frames = frames
        self._again = again
        self.speed = speed
        self.paused = False
        self._next = 0
        self._until_s: float | None = None
        """Where it pauses by itself; None: nowhere."""
        self.stands = asyncio.Event()
        """Set where it has come to where it was to pause by itself."""
        self._moved = asyncio.Event()
        self._snapshot: Snapshot | None = None
        self._publish: Publish | None = None
        self.orders = ReplayedOrders()
        """What the keys of the order panel reach."""

    async def run(self, publish: Publish) -> None:
        """Publish until cancelled; at the end stay there, or begin again."""
        self._publish = publish
        while True:
            await self._play()
            if not self._again or self._until_s is not None:
                self.stands.set()
                self._moved.clear()
                await self._moved.wait()  # somebody may go back
                continue
            await asyncio.sleep(_PAUSE_AT_END_S)
            self._next = 0

    async def _play(self) -> None:
        while self._next < len(self.frames):
            frame = self.frames[self._next]
            before_s = self.frames[max(0, self._next - 1)].at_s
            if self._until_s is not None and frame.at_s > self._until_s and not self.paused:
                self.paused = True
                self.stands.set()
                self._publish_snapshot()
            elif await self._reached(frame.at_s - before_s):
                self._next += 1
                self._show(frame)

    async def _reached(self, span_s: float) -> bool:
        """Wait for a span of the recording; return False where speed or pause changed meanwhile."""
        self._moved.clear()
        wait_s = None if self.paused else span_s / self.speed
        try:
            async with asyncio.timeout(wait_s):
                await self._moved.wait()
        except TimeoutError:
            return True
        return False

    def _show(self, frame: Frame) -> None:
        if isinstance(frame.value, OrdersView):
            self.orders.show(frame.value)
        else:
            self._snapshot = frame.value
            self._publish_snapshot()

    def _publish_snapshot(self) -> None:
        if self._snapshot is None or self._publish is None:
            return
        speed = "paused" if self.paused else f"×{self.speed:g}"
        at = self.frames[max(0, self._next - 1)].at_s
        self._publish(replace(self._snapshot, mode=f"recording {at:3.0f} s {speed}"))

    def pause(self) -> None:
        """Pause, or go on."""
        self.paused = not self.paused
        self._change()

    def faster(self, steps: int) -> None:
        """Choose a speed so many steps up or down."""
        at = min(range(len(SPEEDS)), key=lambda index: abs(SPEEDS[index] - self.speed)) + steps
        self.speed = SPEEDS[min(len(SPEEDS) - 1, max(0, at))]
        self._change()

    def step(self) -> None:
        """Pause and show the next snapshot."""
        self.paused = True
        while self._next < len(self.frames):
            frame = self.frames[self._next]
            self._next += 1
            self._show(frame)
            if isinstance(frame.value, Snapshot):
                break
        self._change()

    def seek(self, at_s: float, until_s: float) -> None:
        """Show what was there at a moment, and play on up to another, both in seconds since the beginning."""
        at = next((index for index, frame in enumerate(self.frames) if frame.at_s >= at_s), len(self.frames))
        for kind in (OrdersView, Snapshot):
            before = (frame for frame in reversed(self.frames[: at + 1]) if isinstance(frame.value, kind))
            if (frame := next(before, None)) is not None:
                self._show(frame)
        self._next, self._until_s, self.paused = at, until_s, False
        self.stands.clear()
        self._change()

    def play_on(self) -> None:
        """Play on to the end, from wherever it stands."""
        self._until_s, self.paused = None, False
        self._change()

    def _change(self) -> None:
        self._moved.set()
        self._publish_snapshot()


class ReplayedOrders:
    """The order panel of a recording: shows what was sent then, and sends nothing."""

    def __init__(self) -> None:
        self._view = OrdersView()
        self._publish: PublishOrders | None = None
        self._tried = False
        self.journal = Journal()

    async def run(self, publish: PublishOrders) -> None:
        """Publish until cancelled."""
        self._publish = publish
        publish(self._view)
        await asyncio.Event().wait()

    def show(self, view: OrdersView) -> None:
        """Show what was sent then; once somebody has tried to send an order, that a recording takes none."""
        self._view = view
        if self._publish is not None:
            self._publish(replace(view, trouble=_REFUSAL) if self._tried else view)

    def _refuse(self) -> None:
        self._tried = True
        self.show(self._view)

    def restore(self, preferences: Preferences) -> None:  # noqa: ARG002
        """Begin with what was sent then, whatever was chosen last."""
        self.show(self._view)

    def order(self, pipelines: Iterable[Pipeline]) -> None:  # noqa: ARG002
        """Refuse: a recording takes no orders."""
        self._refuse()

    def toggle(self) -> None:
        """Refuse: a recording takes no orders."""
        self._refuse()

    def change_rate(self, steps: int) -> None:  # noqa: ARG002
        """Refuse: a recording takes no orders."""
        self._refuse()

    def choose(self, pipelines: tuple[Pipeline, ...]) -> None:  # noqa: ARG002
        """Refuse: a recording takes no orders."""
        self._refuse()

    def follow(self, plan: LoadPlan) -> None:  # noqa: ARG002
        """Refuse: a recording takes no orders."""
        self._refuse()

    def burst(self) -> None:
        """Refuse: a recording takes no orders."""
        self._refuse()
