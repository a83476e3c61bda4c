"""What distance costs, as a table and in sentences; distances that cannot be are refused."""

import pytest
from click.testing import CliRunner

from backend.cli.main import coffee
from backend.lab.bench.figures import Figures
from backend.lab.bench.network import RELAY, as_lines
from coffee_core.pipelines.constants import V1, V2


def test_each_distance_has_its_row_and_round_trips_are_counted_at_the_farthest() -> None:
    figures = Figures()
    figures.add(RELAY, 50, "µs")
    for distance_ms in (0, 5, 20):
        for pipeline, trips in ((V1, 1), (V2, 2)):
            of = f"{distance_ms}ms.{pipeline}"
            figures.add(f"{of}.closed.1.p50", 1_000 + trips * distance_ms * 1_000, "µs")
            figures.add(f"{of}.closed.1.p99", 30_000, "µs")
            figures.add(f"{of}.closed.32.rate", 2_000, "/s")
        figures.add(f"{distance_ms}ms.v2.alone.200.dashboard.p50", 2_000 + 4.5 * distance_ms * 1_000, "µs")
    lines = as_lines(figures, (V1, V2), (5.0, 20.0))
    assert lines[1].split() == ["v1", "0", "ms", "1.00", "ms", "30.00", "ms", "2,000/s", "–", "–"]
    assert lines[5].split() == ["v2", "5", "ms", "11.00", "ms", "30.00", "ms", "2,000/s", "24.50", "ms", "–"]
    assert lines[8:] == [
        "v1: to its answer an order waits for 1.0 round trips; how late a total is, its runs decide.",
        "v2: to its answer an order waits for 2.0 round trips, until it is shown 4.5.",
        "The relays themselves add 0.05 ms to a round trip (p50), also at 0 ms.",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rtt", "1,far"), "must be milliseconds"),
        (("--rtt", "0"), "must be milliseconds"),
        (("--rtt", "5", "--durability"), "either --durability or --rtt"),
        (("--rtt", "5", "--html", "page.html"), "--rtt has no page"),
    ],
)
def test_what_cannot_be_is_refused(words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(coffee, ["bench", *words])
    assert (result.exit_code, said in result.output) == (2, True), result.output
