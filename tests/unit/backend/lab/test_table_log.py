"""A pipeline whose log is a table of PostgreSQL: what the lab says of it follows from that."""

from dataclasses import replace

import pytest

from backend.lab.bench.claims import ROWS
from backend.lab.bench.figures import Better, Figures
from backend.lab.bench.report import composed_limit, pipeline_rows
from backend.lab.bench.steps_drain import can_drain, has_textbook
from backend.lab.decide.decision import keeps_at_power_cut
from backend.pipelines.faults import refused_without
from coffee_core import pipelines
from coffee_core.pipelines import Log, LogKind, Pipeline
from tests.unit.backend.lab.bench.made import FACTS, result
from tests.unit.backend.lab.toy.declaration import DECLARATION


@pytest.fixture
def queued(toy: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    declared = replace(DECLARATION, log=Log(LogKind.TABLE, "toy_queue", "toy_dead", "", "rows"))
    monkeypatch.setitem(pipelines._declared, DECLARATION.name, declared)
    monkeypatch.setattr("backend.pipelines.faults.PIPELINES", (toy,))
    return toy


def test_its_orders_are_accepted_by_postgres_alone(queued: Pipeline) -> None:
    assert refused_without("postgres") == (queued,)
    assert refused_without("redis") == refused_without("kafka") == ()


def test_its_backlog_is_drained_and_held_against_bulk_inserts(queued: Pipeline) -> None:
    assert can_drain(queued)
    assert not has_textbook(queued)
    figures = Figures()
    rates = {"toy.drain.rate": 10_000, "ceiling.insert.rate": 40_000, "noop.closed.32.rate": 20_000}
    for name, rate in rates.items():
        figures.add(name, rate, "/s", Better.HIGHER)
    made = result(pipelines=(queued,), figures=figures)
    (row,) = [row for row in pipeline_rows(made) if row[0] == "drain.rate"]
    assert row[-1].endswith("0.25 × bare INSERT")
    assert composed_limit(made, queued) == pytest.approx(10_000)


def test_what_keeps_its_orders_is_what_keeps_the_rows(queued: Pipeline) -> None:
    durability = {"synchronous_commit": "on", "fsync": "on", "appendonly": "no", "appendfsync": "no"}
    made = result(pipelines=(queued,), facts={**FACTS, "durability": durability})
    assert keeps_at_power_cut(queued, made)
    claims = {row.claim: row.measured(made, queued) for row in ROWS}
    assert claims["persistence"].startswith("PostgreSQL, synchronous_commit on")
    assert claims["replay"].startswith("what was pending when the worker died is delivered again")
