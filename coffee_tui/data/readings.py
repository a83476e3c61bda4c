"""What is read from the sources, before any history: plain values as they stood at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coffee_core.errors import CoffeeError
from coffee_core.pipelines import LogKind, Pipeline
from coffee_core.runstate import Cost, PartState, State
from coffee_core.standstill import Standstill
from coffee_core.totals import PipelineCounts


class ReadingError(CoffeeError):
    """A source answered with something the dashboard cannot read."""


@dataclass(frozen=True, slots=True)
class MetricsReading:
    """The metric keys and the lab keys of one pipeline."""

    orders: int = 0
    """Orders shown."""
    revenue_cents: int = 0
    """Revenue shown, in cents."""
    drinks: Mapping[str, int] = field(default_factory=dict)
    """Drink → orders."""
    stores: Mapping[str, int] = field(default_factory=dict)
    """Store → orders."""
    latency: Mapping[int, int] = field(default_factory=dict)
    """Cumulative histogram of dashboard latency: bucket of ``coffee_core.latency`` → orders."""
    counters: Mapping[str, int] = field(default_factory=dict)
    """The lab's counters, those that are whole numbers."""


@dataclass(frozen=True, slots=True)
class RedisReading:
    """One consistent read of everything in Redis that the dashboard shows."""

    metrics: Mapping[Pipeline, MetricsReading]
    """Each pipeline's keys."""
    stream_entries: Mapping[Pipeline, int] = field(default_factory=dict)
    """Pipeline whose log is a Redis stream → entries in it: orders that its workers have not finished."""


def stream_of(pipeline: Pipeline) -> str | None:
    """Return the key of the Redis stream that is a pipeline's log; None where its log is none."""
    log = pipeline.info.log
    return log.name if log is not None and log.kind is LogKind.STREAM else None


@dataclass(frozen=True, slots=True)
class Dependency:
    """A server that the API depends on, as the API sees it."""

    up: bool
    """Whether it answers the API."""
    detail: str = ""
    """Why not."""
    since_us: int = 0
    """Since when: microseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class LabReading:
    """What the API reports of itself and of what it depends on."""

    uptime_s: float = 0.0
    """Seconds that the API has been up."""
    ready: Mapping[str, bool] = field(default_factory=dict)
    """Pipeline → whether it takes orders."""
    dependencies: Mapping[str, Dependency] = field(default_factory=dict)
    """``postgres``, ``redis``, ``kafka`` → how the API finds it."""
    latency: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """Pipeline → cumulative histogram of the API's answers."""
    answers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Pipeline → HTTP status → answers since the API started."""
    parts: tuple[PartState, ...] = ()
    """Every part of the stack that the API knows of."""
    counts: Mapping[str, PipelineCounts] = field(default_factory=dict)
    """Pipeline → what became of its orders; empty where the API cannot count them."""
    counts_age_s: float = 0.0
    """How old the counts were when the API answered: seconds. With many rows it counts rarely."""
    costs: Mapping[str, Cost] = field(default_factory=dict)
    """Part → what its processes cost; parts that the API does not know the processes of are not there."""
    durability: str = ""
    """The notch of the durability dial and what differs from it; empty where all is as by default."""
    standstills: Mapping[str, Standstill] = field(default_factory=dict)
    """Pipeline that stands still → why its accepted orders wait."""

    @property
    def standing(self) -> object:
        """Return how everything stands, without what changes from second to second."""
        return self.ready, self.dependencies, self.parts, tuple(self.standstills)

    def accepted(self, pipeline: Pipeline) -> int:
        """Return the orders of a pipeline answered with 2xx since the API started, repeats included."""
        return sum(count for status, count in self.answers.get(pipeline, {}).items() if status.startswith("2"))


def parse_lab(raw: Any) -> LabReading:
    """Read the body of ``GET /api/lab``. Raises ReadingError where it is not what the dashboard knows."""
    try:
        return LabReading(
            uptime_s=float(raw["uptime_s"]),
            ready={str(name): bool(is_ready) for name, is_ready in raw["ready"].items()},
            dependencies={
                str(name): Dependency(bool(one["up"]), str(one.get("detail") or ""), int(one.get("since_us") or 0))
                for name, one in raw["dependencies"].items()
            },
            latency={
                str(name): {int(bucket): int(count) for bucket, count in counts.items()}
                for name, counts in raw["api_latency"].items()
            },
            answers={
                str(name): {str(status): int(count) for status, count in counts.items()}
                for name, counts in raw["answers"].items()
            },
            parts=tuple(PartState(**{**part, "state": State(part["state"])}) for part in raw["parts"]),
            # An API of an older version sends none of these: the rest is shown all the same.
            counts={
                str(name): PipelineCounts.from_json(counts) for name, counts in raw.get("accounts", {}).items()
            },
            counts_age_s=float(raw.get("accounts_age_s") or 0.0),
            durability=str(raw.get("durability", "")),
            costs={str(name): Cost(**cost) for name, cost in raw.get("costs", {}).items()},
            standstills={
                str(name): Standstill(str(found["reason"]), str(found["cure"]))
                for name, found in raw.get("standstills", {}).items()
                if found is not None
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReadingError(f"the API's /api/lab cannot be read ({type(error).__name__}: {error})") from error
