"""Whether the machine was equally fast all the time, by what does nothing of ours: the no-op endpoint."""

from backend.lab.bench.figures import Figures

YARDSTICK = "noop.closed.32.rate"
_STEADY = 1.25
"""Highest rate over the lowest at which a machine still counts as steady."""


def unsteadiness(figures: Figures) -> list[str]:
    """Return, as notes of a report, what there is to say of it: nothing of a steady machine."""
    figure = figures.get(YARDSTICK)
    if figure is None or figure.high <= _STEADY * figure.low:
        return []
    course = ", ".join(f"{each:,.0f}" for each in figure.values)
    note = (
        "the machine was not equally fast all the time: the no-op endpoint gave, round by round and at the end, "
        f"{course} answers/s; what is measured once (breakpoints, drains, kills) met it as it was then"
    )
    return [note]
