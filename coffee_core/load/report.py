"""Where a load stands, as a value that crosses a pipe; imports no HTTP client, so a dashboard starts at once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from coffee_core.load.generator import Generator


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Where a load stands."""

    running: bool = False
    """Whether a rate is set."""
    counts: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    """Pipeline → ``Counts.as_dict()``."""
    latest: Sequence[Mapping[str, Any]] = ()
    """The last answers since the report before, at most a few: ``LatestAnswers``."""

    @classmethod
    def of(cls, generator: "Generator", latest: Sequence[Mapping[str, Any]] = ()) -> Self:
        """Take a generator's state. Raises what went wrong inside it."""
        counts = {str(pipeline): one.as_dict() for pipeline, one in generator.counts().items()}
        return cls(generator.running, counts, latest)

    @classmethod
    def from_json(cls, line: str | bytes) -> Self:
        """Read a line of the load process. Raises ValueError, KeyError or TypeError where it is none."""
        return cls(**json.loads(line))

    def to_json(self) -> str:
        """Write it as one line."""
        return json.dumps(asdict(self))

    def total(self, name: str) -> int:
        """Return a count over all pipelines."""
        return sum(one.get(name) or 0 for one in self.counts.values())
