"""A session in a file: one line of JSON for each snapshot and each view of the orders, compressed.

The first line says what it is; every other one ``{"t": seconds, "s": change}`` or ``{"t": seconds, "o": change}``,
a change being one to the line of its kind before, from the default value on.
"""

import gzip
import json
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coffee_core.errors import CoffeeError
from coffee_core.pipelines import Pipeline
from coffee_tui.feed.delta import delta, patch
from coffee_tui.feed.orders_view import OrdersView
from coffee_tui.feed.plain import from_plain, to_plain
from coffee_tui.feed.snapshot import Snapshot

_FORMAT = "coffee-rt recording 2"
_FLUSH_S = 1.0
_KINDS = {"s": Snapshot, "o": OrdersView}
# A loss of power cuts a file anywhere: what can be read until there is played.
_CUT = (EOFError, zlib.error)


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

    def note(self, value: Snapshot | OrdersView) -> None:
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
