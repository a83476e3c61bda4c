"""What the verdict says of the ladder: PostgreSQL alone, workers or a job, and how far each is enough."""

from backend.lab.bench.figures import Better, Figures
from backend.lab.bench.verdict import verdict
from coffee_core.pipelines import PIPELINES, Pipeline
from coffee_core.pipelines.constants import V1, V3, V4, V5
from tests.unit.backend.lab.bench.made import result


def sentences(pipelines: tuple[Pipeline, ...], **figures: float) -> str:
    """Return the verdict over a run with nothing but these figures."""
    made = Figures()
    for name, value in figures.items():
        made.add(name.replace("__", "."), value, "", Better.HIGHER)
    return "\n".join(verdict(result(figures=made, pipelines=pipelines, audit={})))


def test_postgresql_alone_is_enough_up_to_its_breakpoint_and_that_late() -> None:
    said = sentences(
        (V5,),
        v5__breakpoint=2_000,
        v5__hot__breakpoint=700,
        v5__alone__20__dashboard__p99=9_000,
        v5__ladder__2000__dashboard__p99=44_000,
        v5__ladder__2800__dashboard__p99=900_000,
    )
    assert (
        "Without a log, v5 (PostgreSQL live) is enough up to 2,000 orders/s; at 2,000 orders/s, 99 of 100 orders"
        " are on its dashboard within 44 ms." in said
    )
    assert "As its variant hot, v5 breaks above 700 orders/s, 0.35 × what v5 itself takes." in said
    assert "99 of 100 orders on the dashboard within 100 ms: v5 (PostgreSQL live) up to 2,000 orders/s." in said


def test_what_a_job_costs_beside_workers_and_what_it_has_for_that() -> None:
    said = sentences(
        (V3, V4),
        v3__own__memory=1_599e6,
        v4__own__memory=431e6,
        v3__cost__cpu=1_192,
        v4__cost__cpu=845,
        v3__first__visible=12.67,
        v4__first__visible=6.21,
        v3__recovery=2.81,
        v4__recovery=0.66,
    )
    assert (
        "v3 (Kafka + Flink) beside v4 (Kafka + workers), memory of its own parts 1,599 MB against 431 MB;"
        " processor time of a million orders 1,192 s against 845 s; start to first order shown 13 s against 6.2 s;"
        " standstill after a kill 2.8 s against 0.66 s." in said
    )
    assert "For that it has windows in event time and message ids on disk" in said


def test_a_dashboard_that_is_late_at_once_and_one_that_never_was_are_told_apart() -> None:
    said = sentences(
        (V1, V3, V4),
        v1__alone__20__dashboard__p99=9_000_000,
        v4__alone__20__dashboard__p99=9_000,
        v4__alone__500__dashboard__p99=11_000,
    )
    assert "v1 (Direct) at no rate measured" in said
    assert "v3 (Kafka + Flink) was not measured" in said
    assert "v4 (Kafka + workers) up to at least 500 orders/s" in said


def test_what_was_not_measured_is_called_so() -> None:
    said = sentences(PIPELINES)
    for name in ("v1 (Direct)", "v5 (PostgreSQL live)"):
        assert f"Up to which rate {name}, without a log, is enough was not measured." in said
    assert "At which rate v5 breaks as its variant hot was not measured." in said
    assert "memory of its own parts not measured" in said
