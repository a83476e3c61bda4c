"""What somebody has to know who chooses how orders come in."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from backend.lab.bench.load_run import duration

SERVERS = ("postgres", "redis", "kafka", "flink")
"""What a team may run already, as pipelines name what they stand on."""


class Loss(StrEnum):
    """What a power cut may take of what was acknowledged."""

    NOTHING = "nothing"
    SECONDS = "seconds"
    """The last seconds."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked."""

    now_per_s: int
    """Orders a second on an ordinary day: what a month costs follows from it."""
    peak_per_s: int
    """Orders a second at the peak: what must be kept up with."""
    late_ms: float
    """Milliseconds within which 99 of 100 orders must be on the dashboard, at the peak."""
    loss: Loss = Loss.NOTHING
    round_trip_ms: float = 0.0
    """Milliseconds to another machine and back, where API, servers and workers are to stand apart."""
    runs: frozenset[str] = frozenset(("postgres", "redis"))
    """Of ``SERVERS``, those that the team runs already."""
    vcpu_hour: float = 0.04
    """Price of a vCPU for an hour, in any currency."""
    gb_hour: float = 0.005
    """Price of a GB of memory for an hour, in the same."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__} | {"runs": sorted(self.runs)}

    def sentence(self) -> str:
        """Return what is asked, in words."""
        apart = f", {self.round_trip_ms:g} ms between machines" if self.round_trip_ms else ", all on one machine"
        lost = "nothing" if self.loss is Loss.NOTHING else "the last seconds"
        late = duration(self.late_ms * 1e3)
        runs = ", ".join(name for name in SERVERS if name in self.runs) or "none of the servers"
        return (
            f"Asked: {self.now_per_s:,} orders/s on an ordinary day and {self.peak_per_s:,} at the peak; 99 of 100"
            f" on the dashboard within {late}{apart}; at a power cut {lost} may be lost; the team"
            f" runs {runs}; a vCPU costs {self.vcpu_hour:g} and a GB {self.gb_hour:g} an hour."
        )

    def words(self) -> str:
        """Return the command that asks the same again."""
        return (
            f"coffee decide --yes --now {self.now_per_s} --peak {self.peak_per_s} --late {self.late_ms:g}"
            f" --loss {self.loss} --round-trip {self.round_trip_ms:g}"
            f" --runs {','.join(sorted(self.runs)) or 'none'}"
            f" --vcpu-hour {self.vcpu_hour:g} --gb-hour {self.gb_hour:g}"
        )
