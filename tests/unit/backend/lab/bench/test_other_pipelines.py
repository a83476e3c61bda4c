"""A pipeline that is not built in is measured like the others: loads, closed loops, drains, a kill, the report."""

import json
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import jsonschema
import pytest

from backend.lab.bench.bench import all_steps
from backend.lab.bench.bench_stack import BenchStack
from backend.lab.bench.claims import ROWS
from backend.lab.bench.conditions import Condition
from backend.lab.bench.harness import Harness
from backend.lab.bench.report import as_markdown, as_text, pipeline_rows
from backend.lab.bench.size import TINY
from backend.lab.bench.steps_kill import KillTimeline
from coffee_core.pipelines import PACKAGES_SETTING, PIPELINES, Pipeline
from coffee_core.pipelines.constants import V2
from tests.unit.backend.lab.bench.made import result


def names_of(*pipelines: Pipeline) -> list[str]:
    settings = SimpleNamespace(api_url="http://127.0.0.1:1", pipelines=pipelines)
    stack = cast("BenchStack", SimpleNamespace(settings=settings, home=Path("/nowhere")))
    harness = Harness(TINY, stack, cast("Any", None), cast("Any", None))
    urls = {"noop": "http://127.0.0.1:2", "starlette": "http://127.0.0.1:3"}
    return [step.name for step in all_steps(harness, urls, KillTimeline())]


def test_its_steps_are_those_of_a_built_in_one_with_such_a_log(toy: Pipeline) -> None:
    names = names_of(toy)
    assert names == [name.replace("v2", "toy") for name in names_of(V2)]
    for name in (
        "round 1 of 1: toy, closed loops",
        "round 1 of 1: toy at 20/s",
        "breakpoint of toy",
        "toy: its worker down, then draining",
        "toy: two workers down, then draining",
        "workers killed under load",
    ):
        assert name in names


def test_steps_of_one_server_or_one_table_are_taken_where_they_belong(toy: Pipeline) -> None:
    everything, few = names_of(*PIPELINES, toy), names_of(toy)
    for name in (
        "round 1 of 1: bare Kafka",
        "bare consume of the topic",
        "v1 with 10,000 rows more",
        "v4: its kafka-worker down, then storing",
    ):
        assert name in everything
        assert name not in few


def test_the_report_has_a_column_of_it_its_claims_and_pictures(toy: Pipeline, tmp_path: Path) -> None:
    from backend.lab.bench.plots import draw

    made = result(pipelines=(*PIPELINES, toy))
    for rate, p99 in zip((20, 200, 1_000), (5_000, 6_000, 7_000), strict=True):
        for kind in ("api", "dashboard"):
            made.figures.add(f"toy.alone.{rate}.{kind}.p50", p99 / 2, "µs")
            made.figures.add(f"toy.alone.{rate}.{kind}.p99", p99, "µs")
    made.figures.add("toy.closed.1.p50", 300, "µs")
    made.figures.add("toy.cost.cpu", 100, "s per million")
    made.figures.add("ceiling.xadd.p50", 100, "µs")
    assert all(row.claim_of(toy) == "–" for row in ROWS), "it claims nothing"
    drawn = draw(made, tmp_path)
    assert drawn == ["latency", "rates", "flow", "cost"]
    for name in drawn:
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (tmp_path / f"{name}.svg").read_bytes()[:2_000]
    text, page = as_text(made), as_markdown(made, drawn)
    assert "p50 2.5 ms, p99 5 ms" in text
    assert "toy Toy: measured" in page
    names = [row[0] for row in pipeline_rows(made)]
    assert pipeline_rows(made)[names.index("closed.1.p50")][-1].endswith("3.00 × bare XADD")
    assert "toy (Toy)" in text, "the verdict ranks it, too"
    schema = json.loads((files("backend.lab.bench") / "report.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(json.dumps(made.as_json())), schema)


def test_a_condition_may_be_about_it(toy: Pipeline) -> None:
    assert Condition.parse("toy.dashboard.p99 < 50ms").pipeline == toy


def test_the_stack_of_the_bench_knows_the_same_pipelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PACKAGES_SETTING, "tests.unit.backend.lab.toy")
    monkeypatch.setenv("COFFEE_AGGREGATOR_INTERVAL_S", "3")
    stack = BenchStack(tmp_path, (V2,))
    assert stack.environ[PACKAGES_SETTING] == "tests.unit.backend.lab.toy"
    assert "COFFEE_AGGREGATOR_INTERVAL_S" not in stack.environ, "its settings are the defaults"
