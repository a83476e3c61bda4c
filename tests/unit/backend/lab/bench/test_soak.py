"""What drifts over hours, and what only scatters."""

import pytest
from click.testing import CliRunner

from backend.cli.main import coffee
from backend.lab.bench.figures import Figures
from backend.lab.bench.soak import as_lines, slope


def test_a_slope_has_the_error_of_its_scatter() -> None:
    assert slope([3, 5, 7, 9]) == (pytest.approx(2), pytest.approx(0))
    # By hand: 0.94 x + 1.04 leaves 0.012 over two degrees of freedom, and the places spread by 5.
    rise, error = slope([1, 2, 3, 3.8])
    assert (rise, error) == (pytest.approx(0.94), pytest.approx((0.012 / 2 / 5) ** 0.5))
    with pytest.raises(ValueError, match="three"):
        slope([1, 2])


def test_what_grows_is_told_from_what_scatters() -> None:
    figures = Figures()
    for number in range(60):
        figures.add("soak.memory", 1e9 + number * 1e6, "bytes")
        figures.add("v2.soak.dashboard.p99", 9_000 + (number % 2) * 500, "µs")
    figures.add("v2.soak.failed", 0, "orders")
    head, memory, late = as_lines(figures, 7_200)
    assert head.split() == ["first", "quarter", "last", "quarter", "an", "hour", "±"]
    # A slice has two minutes: thirty of them an hour.
    assert " ".join(memory.split()) == "soak.memory 1,007 MB 1,052 MB +30 MB 0 MB grows"
    assert late.endswith("no trend beyond its error")


@pytest.mark.parametrize("span", ["2", "h", "1s", "-3h", "8d", "soon"])
def test_a_length_that_is_none_is_refused(span: str) -> None:
    done = CliRunner().invoke(coffee, ["bench", "--soak", span])
    assert done.exit_code == 2
    assert "or a length as 90s" in " ".join(done.output.split())


def test_a_soak_is_a_run_of_its_own() -> None:
    done = CliRunner().invoke(coffee, ["bench", "--soak", "2h", "--durability"])
    assert done.exit_code == 2
    assert "either --durability or --soak" in done.output
