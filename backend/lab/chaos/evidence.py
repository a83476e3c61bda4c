"""The evidence of a run under load: a folder that outlives it. docs/evidence.md is its schema.

Everything is written as it happens, in microseconds since the run began by a clock that never jumps; so a run that
is cut off leaves what it has seen. ``backend.lab.recheck`` judges it again, with code of its own.
"""

import gzip
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from backend.lab.chaos.comparison import Row
from backend.pipelines.faults import Action, Fault
from coffee_core.clock import now_us
from coffee_core.errors import CoffeeError
from coffee_core.load.statistics import Answer
from coffee_core.pipelines import PIPELINES, LogKind, Pipeline
from coffee_core.runstate import write_private
from coffee_core.settings import Settings
from coffee_core.totals import Totals

FOLDER = "evidence"
"""Name of the folder in COFFEE_HOME."""
SCHEMA = 1
_MOST_FOLDERS = 100
_MB = 1_000_000
_LEVEL = 1
"""Of gzip: a line of the history costs 3 µs, and takes a seventh of its room."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where evidence is kept, and how much of it."""

    folder: Path
    most_bytes: int
    """Of all evidence together; the oldest goes first."""
    command: str = field(default_factory=lambda: " ".join(["coffee", *sys.argv[1:]]))
    """What the run was, as it was typed."""
    spared: frozenset[Path] = frozenset()
    """Evidence that stays, however much there is."""

    @classmethod
    def of(cls, settings: Settings) -> "Shelf | None":
        """Return the shelf of these settings; None where nothing is to be kept."""
        if not settings.evidence_mb:
            return None
        return cls(settings.home / FOLDER, settings.evidence_mb * _MB)

    def new(self, name: str) -> Path:
        """Make room and return a fresh folder, for the owner alone. Raises CoffeeError where there can be none."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        path = self.folder / f"{stamp}-{name.replace(' ', '-').replace(':', '-')}"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.make_room()
            path.mkdir(mode=0o700)
        except OSError as error:
            raise CoffeeError(
                f"the evidence cannot be kept in {self.folder}: {error.strerror}: COFFEE_EVIDENCE_MB=0 keeps none"
            ) from error
        return path

    def make_room(self) -> None:
        """Delete the oldest evidence that has no room; the newest and what is spared stay. Raises OSError."""
        kept = sorted((path for path in self.folder.iterdir() if path.is_dir()), reverse=True)
        room = self.most_bytes
        for place, path in enumerate(kept, 1):
            room -= sum(file.stat().st_size for file in path.iterdir())
            if place > 1 and (room < 0 or place > _MOST_FOLDERS) and path not in self.spared:
                shutil.rmtree(path)


class _Lines:
    """A file of JSON lines, compressed, for the owner alone."""

    def __init__(self, path: Path) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._raw = os.fdopen(handle, "wb")
        self._file = io.TextIOWrapper(
            gzip.GzipFile(filename=path.stem, mode="wb", compresslevel=_LEVEL, fileobj=self._raw), encoding="utf-8"
        )

    def add(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")

    def close(self) -> None:
        # A GzipFile leaves a file that it was given open.
        self._file.close()
        self._raw.close()


class Evidence:
    """What is kept of one run. Use it as a context manager; ``conclude`` it where the run came to its end.

    Without a shelf nothing is written.
    """

    def __init__(self, shelf: Shelf | None, name: str) -> None:
        self.folder = shelf.new(name) if shelf else None
        """Where it lies; None where nothing is kept."""
        self._shelf = shelf
        self._name = name
        self._begun_s, self._begun_us = time.monotonic(), now_us()
        self._lines: dict[str, _Lines] = {}

    def __enter__(self) -> Self:
        """Begin; the times count from here."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put on disk what was written."""
        for lines in self._lines.values():
            lines.close()

    def us(self, monotonic_s: float) -> int:
        """Return a moment in microseconds since the run began."""
        return round((monotonic_s - self._begun_s) * 1e6)

    def describe(self, rate_per_s: float, before: Mapping[Pipeline, Totals]) -> None:
        """Keep what the run is, and what each of its pipelines showed before it."""
        if self._shelf is None:
            return
        self._write(
            "about",
            {
                "schema": SCHEMA,
                "name": self._name,
                "command": self._shelf.command,
                "begun": datetime.fromtimestamp(self._begun_us / 1e6, UTC).isoformat(timespec="milliseconds"),
                "begun_us": self._begun_us,
                "pipelines": list(before),
                "rate_per_s": rate_per_s,
                "shown_before": {str(pipeline): asdict(totals) for pipeline, totals in before.items()},
            },
        )

    def request(self, answer: Answer, sent_s: float) -> None:
        """Keep a request that has ended just now, and was begun at ``sent_s`` (monotonic seconds)."""
        attempt = answer.attempt
        self._add(
            "history",
            {
                "pipeline": attempt.pipeline,
                "kind": attempt.kind,
                "key": None if attempt.key is None else str(attempt.key),
                "ordered_at_us": attempt.ordered_at_us,
                "drink": attempt.drink,
                "store": attempt.store,
                "price_cents": attempt.price_cents,
                "intended_us": self.us(answer.intended_s),
                "sent_us": self.us(sent_s),
                "answered_us": self.us(time.monotonic()),
                "outcome": answer.outcome,
                "status": answer.status,
                "message_id": answer.message_id,
                "reason": answer.reason,
            },
        )

    def shown(self, pipeline: Pipeline, totals: Totals, asked_s: float, read_s: float) -> None:
        """Keep totals that have changed, and between which moments they were read."""
        times = {"asked_us": self.us(asked_s), "read_us": self.us(read_s)}
        self._add("shown", {"pipeline": pipeline, **times, **asdict(totals)})

    def fault(self, fault: Fault, moment: str, text: str, lasts_s: float | None = None) -> None:
        """Keep that a fault is begun, has struck, or is over."""
        self._add(
            "faults",
            {
                "at_us": self.us(time.monotonic()),
                "fault": fault.name,
                "moment": moment,
                "lasts_s": lasts_s,
                "text": text,
                "resets": list(_reset_by(fault)),
            },
        )

    def rows(self, pipeline: Pipeline, rows: Iterable[Row], shown: Totals) -> None:
        """Keep the rows of the run, and what is shown, once the pipeline has come to rest."""
        for row in rows:
            stored = asdict(row) | {"message_id": str(row.message_id)}
            for name in ("accepted_at_us", "stored_at_us"):
                stored[name.replace("_at", "")] = stored.pop(name) - self._begun_us
            self._add("rows", {"pipeline": pipeline, **stored})
        self._add("settled", {"pipeline": pipeline, **asdict(shown)})

    def conclude(self, cells: Iterable[Mapping[str, Any]]) -> None:
        """Keep the verdict of the run, draw its pictures, and delete older evidence that has no room left."""
        if self.folder is None or self._shelf is None:
            return
        from backend.lab.chaos.pictures import draw

        self.keep_verdict(cells)
        for lines in self._lines.values():
            lines.close()
        draw(self.folder)
        self._shelf.make_room()

    def keep_verdict(self, cells: Iterable[Mapping[str, Any]]) -> None:
        """Keep the verdict of the run, in the place of the one before."""
        self._write("verdict", {"cells": list(cells)})

    def _add(self, name: str, line: Mapping[str, Any]) -> None:
        if self.folder is None:
            return
        if name not in self._lines:
            self._lines[name] = _Lines(self.folder / f"{name}.jsonl.gz")
        self._lines[name].add(line)

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        assert self.folder is not None, "there is a shelf"
        write_private(self.folder / f"{name}.json", json.dumps(content, indent=2) + "\n")


def _reset_by(fault: Fault) -> Iterable[Pipeline]:
    """Return the pipelines whose totals a fault takes back on purpose: no other's may go back."""
    if fault.action is Action.FLUSH:
        return PIPELINES
    log = fault.log.info.log if fault.log is not None else None
    is_recounted = fault.action is Action.REPLAY and log is not None and log.kind is LogKind.TOPIC
    return (fault.log,) if fault.log is not None and is_recounted else ()


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the lines of a file of evidence; none where nothing of its kind happened."""
    try:
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []
