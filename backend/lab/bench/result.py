"""Everything that a run has measured, as a value that can be written, read again and compared."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from backend.lab.bench.figures import Figures
from backend.lab.bench.harness import Harness, PendingLoad
from backend.lab.bench.steps_kill import KillTimeline
from backend.pipelines.balance import Balance
from coffee_core.errors import ConfigError
from coffee_core.load.histogram import LatencyHistogram
from coffee_core.pipelines import Pipeline, pipeline_named

SCHEMA = "coffee-bench/1"
"""Name and version of the format: the number grows where a reader of the one before would be wrong."""
_PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100)
_MOST_POINTS = 400


@dataclass(slots=True)
class Result:
    """A run."""

    size: str
    pipelines: tuple[Pipeline, ...]
    rates: tuple[int, ...]
    """Orders a second at which latencies were measured."""
    complete: bool
    """Whether every step was measured."""
    seconds: float
    facts: dict[str, Any]
    figures: Figures
    audit: dict[str, dict[str, int]]
    """Pipeline → orders stored, lost, duplicated, drift, after everything."""
    distributions: dict[str, list[tuple[float, float]]]
    """Load and kind of latency → (percentile, µs)."""
    flow: dict[str, dict[str, Any]]
    """Pipeline → orders accepted and visible over seconds while workers were killed, and when that was."""
    notes: list[str] = field(default_factory=list)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """When it ended."""

    @classmethod
    def of(
        cls,
        harness: Harness,
        timeline: KillTimeline,
        balances: Sequence[Balance],
        facts: dict[str, Any],
        *,
        complete: bool,
        seconds: float,
    ) -> Self:
        """Put together what the steps have measured."""
        harness.write_up()
        flow = {str(load.pipeline): _flow(harness, timeline, load) for load in timeline.loads}
        return cls(
            size=harness.size.name,
            pipelines=harness.pipelines,
            rates=harness.size.rates,
            complete=complete,
            seconds=seconds,
            facts=facts,
            figures=harness.figures,
            audit={str(balance.pipeline): _audited(balance) for balance in balances},
            distributions={name: _distribution(histogram) for name, histogram in harness.histograms.items()},
            flow=flow,
            notes=harness.notes,
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        raw = {name: getattr(self, name) for name in self.__slots__}
        return {"schema": SCHEMA, **raw, "figures": self.figures.as_json()}

    def write(self, path: Path) -> None:
        """Write it to a file."""
        path.write_text(json.dumps(self.as_json(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that ``write`` has made, or the folder it lies in. Raises ConfigError where it is none."""
        file = path / "report.json" if path.is_dir() else path
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            if raw.pop("schema") != SCHEMA:
                raise ConfigError(f"{file} has another schema than {SCHEMA}")
            raw["figures"] = Figures.from_json(raw["figures"])
            raw["pipelines"] = tuple(pipeline_named(name) for name in raw["pipelines"])
            return cls(**raw)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{file} is no report of `coffee bench`: {error}") from error


def _audited(balance: Balance) -> dict[str, int]:
    return {
        "stored": balance.stored.orders,
        "lost": balance.lost,
        "duplicated": balance.duplicated.orders,
        "drift": balance.drift.orders,
    }


def _distribution(histogram: LatencyHistogram) -> list[tuple[float, float]]:
    if not histogram.total:
        return []
    return [(percentile, histogram.percentile_us(percentile)) for percentile in _PERCENTILES]


def _flow(harness: Harness, timeline: KillTimeline, load: PendingLoad) -> dict[str, Any]:
    history, intended = harness.watcher.histories[load.pipeline], sorted(load.sample.intended)
    seen = [
        (at_s - load.start_s, total - load.base)
        for at_s, total in zip(history.times_s, history.totals, strict=True)
        if at_s >= load.start_s and total - load.base <= len(intended)
    ]
    offered = [(at_s - load.start_s, number) for number, at_s in enumerate(intended, 1)]
    killed_s, part = timeline.kills.get(load.pipeline, (None, ""))
    return {
        "offered": _thinned(offered),
        "visible": _thinned([(0.0, 0), *seen]),
        "killed_s": None if killed_s is None else killed_s - load.start_s,
        "part": part,
    }


def _thinned(points: list[tuple[float, int]]) -> list[tuple[float, int]]:
    step = max(1, len(points) // _MOST_POINTS)
    return [*points[::step], *points[-1:]]
