"""Targets: each is met or not by the figures of the run alone, and one without figures is neither."""

from dataclasses import replace

import pytest

from backend.lab.bench.figures import Better, Figures
from backend.lab.bench.report import other_rows, pipeline_rows, target_rows
from backend.lab.bench.size import Size
from backend.lab.bench.targets import Target, targets
from coffee_core.pipelines import PIPELINES, Pipeline
from coffee_core.pipelines.constants import V1, V2, V4
from tests.unit.backend.lab.bench.made import result


def target(words: str, **figures: float) -> Target:
    """Return the one target with these words in it, over a run with nothing but these figures."""
    made = Figures()
    for name, value in figures.items():
        made.add(name.replace("__", "."), value, "", Better.HIGHER)
    (found,) = [each for each in targets(result(figures=made, pipelines=PIPELINES)) if words in each.what]
    return found


@pytest.mark.parametrize(
    ("words", "figures", "measured", "met"),
    [
        (
            "v2: answer p50, one client, against no-op",
            {"v2__closed__1__p50": 400, "noop__closed__1__p50": 200},
            "2.00 ×",
            True,
        ),
        (
            "v2: answer p50, one client, against no-op",
            {"v2__closed__1__p50": 402, "noop__closed__1__p50": 200},
            "2.01 ×",
            False,
        ),
        (
            "v1: answer p50, one client, against its bare parts: Starlette + INSERT",
            {"v1__closed__1__p50": 450, "starlette__closed__1__p50": 100, "ceiling__insert_one__p50": 200},
            "1.50 ×",
            True,
        ),
        (
            "v3: answer p50, one client, against its bare parts: Starlette + Kafka send",
            {"v3__closed__1__p50": 453, "starlette__closed__1__p50": 100, "ceiling__kafka__p50": 200},
            "1.51 ×",
            False,
        ),
        (
            "v3: throughput, 32 clients, against no-op",
            {"v3__closed__32__rate": 5_000, "noop__closed__32__rate": 12_000},
            "0.42 ×",
            True,
        ),
        (
            "v3: throughput, 32 clients, against no-op",
            {"v3__closed__32__rate": 4_000, "noop__closed__32__rate": 12_000},
            "0.33 ×",
            False,
        ),
        (
            "v1: answer p50, one client, against Starlette",
            {"v1__closed__1__p50": 400, "starlette__closed__1__p50": 100},
            "4.00 ×",
            True,
        ),
        (
            "v5: throughput, 32 clients, against v1",
            {"v5__closed__32__rate": 790, "v1__closed__32__rate": 1_000},
            "0.79 ×",
            False,
        ),
        ("v5: dashboard p99 from acceptance on at 500", {"v5__alone__500__shown__p99": 11_900}, "11.9 ms", True),
        ("v2: dashboard p50 from acceptance on at 20", {"v2__alone__20__shown__p50": 2_240}, "2.24 ms", True),
        ("v2: dashboard p99 at 500", {"v2__alone__500__dashboard__p99": 14_000}, "14 ms", True),
        ("v3: dashboard p50 at 20", {"v3__alone__20__dashboard__p50": 9_000}, "9 ms", False),
        ("v1: a run of its aggregator", {"v1__table__run": 0.51}, "0.51 s", False),
        (
            "v1: answer p99 during",
            {"v1__table__during__api__p99": 14, "v1__table__without__api__p99": 10},
            "1.40 ×",
            True,
        ),
        ("v2: drain of", {"v2__drain__rate": 50_000}, "50,000/s", True),
        (
            "v2: drain of",
            {"v2__drain__rate": 35_000, "ceiling__insert__rate": 50_000},
            "35,000/s = 0.70 × bare INSERT",
            True,
        ),
        (
            "v2: drain of",
            {"v2__drain__rate": 30_000, "ceiling__insert__rate": 50_000},
            "30,000/s = 0.60 × bare INSERT",
            False,
        ),
        ("v3: drain of", {"v3__drain__rate": 49_999}, "49,999/s", False),
        ("v4: dashboard p50 from acceptance on at 500", {"v4__alone__500__shown__p50": 4_100}, "4.1 ms", False),
        ("v4: dashboard p99 from acceptance on at 20", {"v4__alone__20__shown__p99": 12_000}, "12 ms", True),
        ("v4: drain of", {"v4__drain__rate": 39_999}, "39,999/s", False),
        ("v4: storing", {"v4__drain__stored__rate": 40_000}, "40,000/s", True),
        ("v4: drain against", {"v4__drain__rate": 30_000, "textbook__drain__rate": 30_000}, "1.00 ×", True),
        ("v4: drain against", {"v4__drain__rate": 29_000, "textbook__drain__rate": 30_000}, "0.97 ×", False),
        ("v4: memory (PSS) that it adds", {"v4__added__memory": 151e6}, "151 MB", False),
        ("whole stack, after", {"after__memory": 2.9e9}, "2.90 GB", True),
        ("v3: drain by two slots", {"v3__drain__rate": 10, "v3__drain2__rate": 10}, "1.00 ×", False),
    ],
)
def test_a_target_is_met_or_not(words: str, figures: dict[str, float], measured: str, met: bool) -> None:
    found = target(words, **figures)
    assert (found.measured, found.met) == (measured, met)


def test_a_latency_says_on_how_many_orders_it_rests() -> None:
    made = Figures()
    for orders in (160, 160):
        made.add("v2.alone.20.dashboard.p99", 9_000, "µs")
        made.add("v2.alone.20.orders", orders, "orders", Better.HIGHER)
    found = [each.what for each in targets(result(figures=made))]
    assert "v2: dashboard p99 at 20/s, 2 × 160 orders" in found
    assert "v3: dashboard p99 at 20/s" in found


def test_a_low_rate_is_kept_up_until_there_are_orders_enough_for_a_p99() -> None:
    size = Size("made", rounds=1, load_s=2, load_orders=100)
    assert (size.load_s_at(20), size.load_s_at(1_000)) == (5, 2)
    step = replace(size, step_s=1, step_orders=2_000)
    assert (step.step_s_at(500), step.step_s_at(4_000)) == (4, 1)


def test_of_a_repeated_drain_of_v3_the_last_one_counts() -> None:
    made = Figures()
    for rate in (20_000, 60_000):
        made.add("v3.drain.rate", rate, "/s", Better.HIGHER)
    (found,) = [each for each in targets(result(figures=made)) if each.what.startswith("v3: drain of")]
    assert found.met


def test_a_drain_and_the_textbook_are_compared_round_by_round() -> None:
    made = Figures()
    for one, other in ((30_000, 20_000), (10_000, 20_000), (24_000, 20_000)):
        made.add("v4.drain.rate", one, "/s", Better.HIGHER)
        made.add("textbook.drain.rate", other, "/s", Better.HIGHER)
    (found,) = [each for each in targets(result(figures=made, pipelines=(V1, V4))) if "textbook" in each.what]
    assert found.what.endswith("(0.50 × to 1.50 ×)")
    assert (found.measured, found.met) == ("1.20 ×", True)


@pytest.mark.parametrize(("pipelines", "measured"), [((V1, V4), "590 MB"), ((V1, V2, V4), "–")])
def test_the_memory_of_two_pipelines_is_that_of_a_run_of_these_two(
    pipelines: tuple[Pipeline, ...], measured: str
) -> None:
    made = Figures()
    made.add("idle.memory", 590e6, "bytes")
    found = {each.what: each.measured for each in targets(result(figures=made, pipelines=pipelines))}
    assert found["v4: memory (PSS) of a stack of v1 and v4, idle"] == measured
    assert found["v4: memory (PSS) that it adds to a stack with v3"] == "–"


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert {each.verdict for each in targets(result(figures=Figures()))} == {"not measured"}


def test_only_the_pipelines_of_the_run_have_targets() -> None:
    found = [each.what for each in targets(result(pipelines=(V2,)))]
    assert any(each.startswith("v2:") for each in found)
    assert not any(each.startswith(("v1:", "v3:")) for each in found)


def test_every_table_has_as_many_cells_in_each_row_as_in_its_head() -> None:
    made = result()
    for table in (target_rows(made), pipeline_rows(made), other_rows(made)):
        assert len({len(row) for row in table}) == 1
    names = [row[0] for row in pipeline_rows(made)]
    assert "1 ms = 5.00 × no-op = 4.00 × Starlette" in pipeline_rows(made)[names.index("closed.1.p50")]
    assert names.index("closed.1.p50") < names.index("breakpoint") < names.index("cost.cpu per million")
    assert "idle.memory" not in names, "what is nobody's own stands in no pipeline's column"
    assert ["idle.memory", "1,500 MB"] in other_rows(made)
