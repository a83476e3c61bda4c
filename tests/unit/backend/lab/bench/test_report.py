"""The report: read again as written, every row of the comparison, the verdict, and what has changed."""

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from backend.cli.main import coffee
from backend.lab.bench.changes import compare, unlike
from backend.lab.bench.claims import ROWS
from backend.lab.bench.figures import Better, Figure, Figures
from backend.lab.bench.report import as_markdown, as_text, changes_as_text, composed_limit, write
from backend.lab.bench.result import Result
from backend.lab.bench.verdict import Curve, crossing, curve, verdict
from coffee_core.errors import ConfigError
from coffee_core.pipelines.constants import V1, V2, V3
from tests.unit.backend.lab.bench.made import result


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(result(), tmp_path, [])
    again = Result.read(tmp_path)
    assert json.dumps(again.as_json()) == json.dumps(result().as_json())


def test_the_json_is_what_its_schema_says() -> None:
    schema = json.loads((files("backend.lab.bench") / "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(json.dumps(result().as_json())), schema)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "coffee-bench/0"}', '{"schema": "coffee-bench/1"}'])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ConfigError, match="report"):
        Result.read(tmp_path)


def test_every_row_has_its_claims_and_measurements() -> None:
    text, page = as_text(result()), as_markdown(result(), ["latency"])
    for row in ROWS:
        assert row.aspect in text
        assert f"| {row.aspect} | {row.claim_of(V1)} |" in page
    assert "p50 320 µs (304 µs – 336 µs)" in text, "v2's answer at 20/s, with its spread"
    assert "lost 0, duplicated 0, drift 0 of 1,000 orders, stream-worker killed once" in text
    assert "= 0.50 × no-op" in text, "v2's throughput"
    assert "9 ms ±5%" in text, "with its spread, in the table of all figures"
    assert "](latency.svg)" in page


def test_beside_a_throughput_stands_what_its_parts_alone_would_allow() -> None:
    made = result()
    made.figures.add("ceiling.xadd.rate", 12_000, "/s", Better.HIGHER)
    made.figures.add("ceiling.insert.rate", 60_000, "/s", Better.HIGHER)
    # v1: 1 ÷ (1/12,000 + 1/60,000); v2: 1 ÷ (1/12,000 + 1/12,000 + 1/60,000).
    assert composed_limit(made, V1) == pytest.approx(10_000)
    assert composed_limit(made, V2) == pytest.approx(60_000 / 11)
    assert composed_limit(made, V3) is None, "what Kafka takes was not measured"
    page = as_markdown(made, [])
    assert "| composed limit | 10,000/s | 5,455/s | – |" in page
    assert "6,000/s = 0.50 × no-op = 0.67 × Starlette = 0.50 × bare XADD = 1.10 × composed limit" in page
    assert "| breakpoint | 2,000/s = 0.20 × composed limit |" in page


def test_what_was_not_measured_is_called_so() -> None:
    bare = result(figures=Figures(), audit={}, flow={}, complete=False)
    text = as_text(bare)
    assert "not complete" in text
    for row in ROWS[:2]:
        assert row.measured(bare, V2) == "not measured"
    assert "not measured " not in text, "no sentence is built around it"


def test_the_verdict_follows_from_the_figures() -> None:
    text = " ".join(verdict(result()))
    assert "At 20 orders/s, 99 of 100 orders are on the dashboard within 8 ms by v2 (Streams), 20 ms by v3" in text
    assert "within 100 ms, the least processor time is that of v2 (Streams) at 20, 200, 1,000 orders/s." in text
    assert "within 15 s, the least processor time is that of v1 (Direct) at 20, 200, 1,000 orders/s." in text
    assert "v2 (Streams) answers a single client soonest, in 400 µs" in text
    assert "Of a million orders, the least processor time is that of v1 (Direct), 300 s; v3" in text
    assert (
        "v3 (Kafka + Flink) needs, beside API, PostgreSQL and Redis, 5 more processes with 900 MB, idle." in text
    )
    assert "none was lost and none counted twice" in text
    assert (
        "orders/s, v2 (Streams) has its orders on the dashboard sooner (p99); above, v3 (Kafka + Flink) does"
        in text
    )


def test_the_verdict_says_what_was_lost() -> None:
    wrong = result(audit={"v2": {"stored": 10, "lost": 1, "duplicated": 0, "drift": 0}})
    assert any("lost or counted twice by v2" in sentence for sentence in verdict(wrong))


def _curve(*points: tuple[float, float]) -> Curve:
    return [(rate, Figure("µs", Better.LOWER, [value, value * 1.01])) for rate, value in points]


def test_curves_cross_where_their_logarithms_do() -> None:
    one, other = _curve((10, 1), (1_000, 100)), _curve((10, 10), (1_000, 10))
    assert crossing(one, other) == [(pytest.approx(100.0), True)]
    assert crossing(other, one) == [(pytest.approx(100.0), False)]


def test_curves_whose_repetitions_overlap_do_not_cross() -> None:
    assert crossing(_curve((10, 1), (100, 1.05)), _curve((10, 1.05), (100, 1))) == []
    once = [(10.0, Figure("µs", Better.LOWER, [1.0])), (100.0, Figure("µs", Better.LOWER, [2.0]))]
    assert crossing(once, _curve((10, 1.4), (100, 1))) == [], "nobody knows the noise of what was measured once"


def test_a_change_beyond_the_spread_is_told_and_one_within_is_not() -> None:
    before, after = Figures(), Figures()
    for figures, late, fast in ((before, (10, 12), (100, 101)), (after, (20, 22), (104, 105))):
        for value in late:
            figures.add("v2.alone.20.dashboard.p99", value, "µs")
        for value in fast:
            figures.add("v2.drain.rate", value, "/s", "higher")
    changes = compare(result(figures=before), result(figures=after))
    assert [(change.name, change.better) for change in changes] == [("v2.alone.20.dashboard.p99", False)]
    assert "worse" in changes_as_text(changes, [])
    assert compare(result(), result()) == []


def test_two_reports_are_compared_on_the_command_line(tmp_path: Path) -> None:
    slower = result()
    slower.figures.add("v2.drain.rate", 40_000, "/s", "higher")
    faster = result()
    faster.figures.add("v2.drain.rate", 80_000, "/s", "higher")
    for made, name in ((slower, "a"), (faster, "b")):
        (tmp_path / name).mkdir()
        write(made, tmp_path / name, [])
    words = ["bench", "--compare", str(tmp_path / "a"), str(tmp_path / "b" / "report.json")]
    done = CliRunner().invoke(coffee, words, standalone_mode=False)
    assert done.stdout.split() == ["better", "+100%", "v2.drain.rate:", "40,000/s", "→", "80,000/s"]
    (change,) = json.loads(CliRunner().invoke(coffee, [*words, "--json"], standalone_mode=False).stdout)["changes"]
    assert (change["name"], change["better"]) == ("v2.drain.rate", True)


def test_noise_hides_a_change() -> None:
    before, after = Figures(), Figures()
    for value in (10, 30):
        before.add("x", value, "µs")
        after.add("x", value + 12, "µs")
    assert compare(result(figures=before), result(figures=after)) == []


def test_a_higher_rate_is_better() -> None:
    before, after = Figures(), Figures()
    before.add("v2.drain.rate", 100, "/s", "higher")
    after.add("v2.drain.rate", 200, "/s", "higher")
    (change,) = compare(result(figures=before), result(figures=after))
    assert (change.better, change.share) == (True, 1.0)


def test_runs_of_different_kinds_are_called_unlike() -> None:
    assert unlike(result(), result()) == []
    assert any("--full" in words for words in unlike(result(), result(size="full")))


def test_what_was_not_measured_is_not_drawn(tmp_path: Path) -> None:
    from backend.lab.bench.plots import draw

    assert draw(result(figures=Figures(), distributions={}, flow={}), tmp_path) == []


def test_the_dashboard_of_v1_is_as_late_at_every_rate() -> None:
    made = result()
    for value in (9_800_000, 10_200_000):
        made.figures.add("v1.any.dashboard.p99", value, "µs")
    assert [(rate, figure.middle) for rate, figure in curve(made, V1, "dashboard")] == [
        (rate, 10_000_000) for rate in (20, 200, 1_000)
    ]
    assert [figure.middle for _, figure in curve(made, V1, "api")] == [700_000, 900_000, 950_000]
