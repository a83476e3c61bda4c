"""A load with a beginning and an end, as a value that crosses a pipe, and how several clients share it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from coffee_core.load.mix import MixSettings
from coffee_core.load.shape import Pattern, Shape
from coffee_core.pipelines import Pipeline


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent where, from when, for how long."""

    pipelines: Sequence[Pipeline]
    """Each gets the whole shape."""
    shape: Shape
    for_s: float
    """Seconds for which orders are offered."""
    mix: MixSettings = field(default_factory=lambda: MixSettings(repeats=0, malformed=0))
    seed: int = 0
    """Makes orders and Poisson times repeatable."""
    start_s: float = 0.0
    """When the first is meant, on the monotonic clock that all processes of a machine share."""
    in_flight: int = 400
    """Most requests without an answer; beyond, orders wait, late through no fault of the generator.

    Below the share of its room that the API gives to one address, whose excess it refuses.
    """

    def split(self, clients: int, start_s: float) -> list["Plan"]:
        """Share the load among clients so that together they offer this shape from ``start_s`` on."""
        shape = self.shape
        part = replace(shape, rate_per_s=shape.rate_per_s / clients, from_per_s=shape.from_per_s / clients)
        # Their orders interleave; those of a burst are meant for the same moment.
        together = shape.pattern in (Pattern.BURST, Pattern.POISSON)
        step_s = 0.0 if together else 1 / shape.rate_per_s
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
        pipelines = tuple(Pipeline(name) for name in raw["pipelines"])
        return cls(
            **{**raw, "pipelines": pipelines, "shape": Shape(**raw["shape"]), "mix": MixSettings(**raw["mix"])}
        )
