"""What has changed between two runs beyond noise."""

from dataclasses import dataclass

from backend.lab.bench.figures import Better, Figure
from backend.lab.bench.result import Result

LEAST = 0.10
"""A change smaller than this share is not reported, however small the noise."""
_ONE_SHOT = 0.30
"""Noise of a figure that was measured once, as a share of it: nobody knows it, so it is taken for large."""


@dataclass(frozen=True, slots=True)
class Change:
    """A figure that is not the same in two runs."""

    name: str
    unit: str
    before: float
    after: float
    better: bool

    @property
    def share(self) -> float:
        """How much more, as a share of what it was; infinite where it was 0."""
        return (self.after - self.before) / self.before if self.before else float("inf")


def compare(before: Result, after: Result) -> list[Change]:
    """Return what differs by more than both spreads together and by a tenth; the largest change first."""
    changes = []
    for name, old in before.figures:
        new = after.figures.get(name)
        if new is None or old.unit != new.unit:
            continue
        difference = new.middle - old.middle
        if abs(difference) > max(_noise(old) + _noise(new), LEAST * abs(old.middle)):
            better = (difference > 0) == (old.better == Better.HIGHER)
            changes.append(Change(name, old.unit, old.middle, new.middle, better))
    return sorted(changes, key=lambda change: -abs(change.share))


def unlike(before: Result, after: Result) -> list[str]:
    """Return why the two runs can hardly be compared, in sentences."""
    words = []
    if before.size != after.size:
        words.append(f"one is --{before.size}, the other --{after.size}")
    if before.facts.get("machine") != after.facts.get("machine"):
        words.append("they were taken on different machines, or with another Python")
    if before.facts.get("durability") != after.facts.get("durability"):
        words.append("their servers had other durability settings")
    return words


def _noise(figure: Figure) -> float:
    if len(figure.values) == 1:
        return _ONE_SHOT * abs(figure.middle) / 2
    return (figure.high - figure.low) / 2
