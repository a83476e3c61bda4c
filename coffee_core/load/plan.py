"""A load to be run, and where a running one stands, as values that cross a pipe.

Imports no HTTP client, so that a dashboard starts at once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from coffee_core.load.orders import OrderMix
from coffee_core.load.schedule import Pattern, Shape
from coffee_core.pipelines import Pipeline, pipeline_named


@dataclass(frozen=True, slots=True)
class Plan:
    """A load with a beginning and an end: what is sent where, from when, for how long. Clients may share it."""

    pipelines: Sequence[Pipeline]
    """Each gets the whole shape."""
    shape: Shape
    for_s: float
    """Seconds for which orders are offered."""
    mix: OrderMix = field(default_factory=lambda: OrderMix(repeats=0, malformed=0))
    seed: int = 0
    """Makes orders and Poisson times repeatable."""
    start_s: float = 0.0
    """When the first is meant, on the monotonic clock that all processes of a machine share."""
    in_flight: int = 400
    """Most requests without an answer; beyond, orders wait, late through no fault of the generator.

    Below the share of its room that the API gives to one address, whose excess it refuses.
    """

    overtime_s: float | None = None
    """Seconds after the last order was meant to be sent, in which late ones are still sent; None is no limit."""

    def split(self, clients: int, start_s: float) -> list["Plan"]:
        """Share the load among clients so that together they offer this shape from ``start_s`` on."""
        shape = self.shape
        part = replace(shape, rate_per_s=shape.rate_per_s / clients, from_per_s=shape.from_per_s / clients)
        # Their orders interleave; those of a burst are meant for the same moment.
        simultaneous = shape.pattern in (Pattern.BURST, Pattern.POISSON)
        step_s = 0.0 if simultaneous else 1 / shape.rate_per_s
        return [
            replace(
                self,
                shape=part,
                seed=self.seed + number,
                start_s=start_s + number * step_s,
                in_flight=max(1, self.in_flight // clients),
            )
            for number in range(clients)
        ]

    def to_json(self) -> str:
        """Write it as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str | bytes) -> Self:
        """Read what ``to_json`` has written."""
        raw: dict[str, Any] = json.loads(line)
        pipelines = tuple(pipeline_named(name) for name in raw["pipelines"])
        return cls(
            **{**raw, "pipelines": pipelines, "shape": Shape(**raw["shape"]), "mix": OrderMix(**raw["mix"])}
        )


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Where a load stands."""

    running: bool = False
    """Whether a rate is set."""
    counts: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    """Pipeline → ``LoadCounts.as_dict()``."""
    latest: Sequence[Mapping[str, Any]] = ()
    """The last answers since the report before, at most a few: ``LatestAnswers``."""

    @classmethod
    def from_json(cls, line: str | bytes) -> Self:
        """Read a line of the load process. Raises ValueError, KeyError or TypeError where it is none."""
        return cls(**json.loads(line))

    def to_json(self) -> str:
        """Write it as one line."""
        return json.dumps(asdict(self))

    def total(self, name: str) -> int:
        """Return a count over all pipelines."""
        return sum(counts.get(name) or 0 for counts in self.counts.values())
