"""A machine that changes its speed within a run is reported, with the course of it."""

from backend.lab.bench.bench import STEADINESS_FIGURE, unsteadiness
from backend.lab.bench.figures import Better, Figures


def notes(*rates: float) -> list[str]:
    figures = Figures()
    for rate in rates:
        figures.add(STEADINESS_FIGURE, rate, "/s", Better.HIGHER)
    return unsteadiness(figures)


def test_a_machine_that_slows_down_is_told_of() -> None:
    (note,) = notes(30_000, 33_500, 22_700)
    assert "30,000, 33,500, 22,700 answers/s" in note


def test_nothing_is_said_of_a_steady_one_nor_where_it_was_not_measured() -> None:
    assert notes(30_000, 33_500) == notes() == []
