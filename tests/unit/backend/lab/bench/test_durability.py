"""What the notches of the durability dial cost, as a table."""

from backend.lab.bench.durability import as_table
from backend.lab.bench.figures import Figures
from coffee_core.durability import NOTCHES
from coffee_core.pipelines.constants import V1


def test_each_notch_has_its_row_with_the_middle_and_the_spread() -> None:
    figures = Figures()
    for place, notch in enumerate(NOTCHES):
        for repetition in (1, 2, 3):
            figures.add(f"{notch}.v1.closed.1.p50", 1_000 * repetition, "µs")
            figures.add(f"{notch}.v1.closed.1.p99", 2_000, "µs")
            figures.add(f"{notch}.v1.closed.1.p999", 9_000, "µs")
            figures.add(f"{notch}.v1.closed.32.rate", 1_000 * (place + 1) * repetition, "/s")
    _, strict, _, relaxed = as_table(figures, (V1,))
    assert " ".join(strict.split()) == "v1 strict 2.00 ms 2.00 ms 9.00 ms 2,000/s 1,000 to 3,000/s"
    assert "6,000/s" in relaxed
