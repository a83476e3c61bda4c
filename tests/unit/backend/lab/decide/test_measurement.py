"""What a question has measured, and which reports spare that."""

from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backend.lab.bench.figures import Figures
from backend.lab.bench.result import Result
from backend.lab.bench.steps_kill import KillTimeline
from backend.lab.bench.usage import machine
from backend.lab.decide.measure import Measurement, _steps, _take_up, read_kept
from backend.lab.decide.question import Loss, Question
from coffee_core.pipelines.constants import V1, V2, V3
from tests.unit.backend.lab.bench.made import FACTS, result

_HERE: dict[str, Any] = {
    **FACTS,
    "machine": machine(),
    "servers": {**FACTS["servers"], "coffee_rt": version("coffee-rt")},
}
_FLUSHED = {**FACTS["durability"], "kafka": "acks=all, idempotent producer, log.flush.interval.messages=1"}


def _now(**changes: Any) -> Result:
    return result(at=datetime.now(UTC).isoformat(timespec="seconds"), **{"facts": _HERE, **changes})


def test_nothing_lost_is_measured_with_a_topic_that_is_synced() -> None:
    assert Measurement.of(Question(20, 200, 50), (V1, V2)).durability == "default"
    assert Measurement.of(Question(20, 200, 50), (V1, V2, V3)).durability == "strict"
    assert Measurement.of(Question(20, 200, 50, Loss.SECONDS), (V1, V2, V3)).durability == "default"


@pytest.mark.parametrize(("now", "peak"), [(1, 1), (20, 200), (50, 5_000), (300, 300)])
def test_it_takes_a_quarter_of_an_hour_at_most(now: int, peak: int) -> None:
    size = Measurement.of(Question(now, peak, 50), (V1, V2)).size
    now, peak = (max(10, rate) for rate in (now, peak))
    assert set(size.rates) == {now, peak}
    assert size.ladder == (*sorted({now, peak}), *(round(peak * factor) for factor in (1.5, 2, 3)))
    assert all(size.load_s_at(rate) * rate >= 100 for rate in size.rates), "else a p99 is the maximum"
    rounds_s = size.rounds * sum(size.load_s_at(rate) + 1 for rate in size.rates)
    ladder_s = sum(size.step_s_at(rate) + 1 for rate in size.ladder)
    assert 5 * (rounds_s + ladder_s + size.fault_s) + 120 < 15 * 60, "five pipelines, and a start"


def test_a_report_of_today_and_of_this_machine_serves() -> None:
    wanted = Measurement.of(Question(20, 200, 50), (V1, V2))
    assert wanted.unusable(_now()) == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"facts": FACTS}, "another machine"),
        ({"facts": {**_HERE, "servers": FACTS["servers"] | {"coffee_rt": "0.0.1"}}}, "another version"),
        ({"at": (datetime.now(UTC) - timedelta(hours=25)).isoformat()}, "older than a day"),
        ({"pipelines": (V1, V2)}, "it has no v3"),
        ({}, "other durability settings"),
    ],
)
def test_another_report_does_not(changes: dict[str, Any], why: str) -> None:
    wanted = Measurement.of(Question(20, 200, 50), (V1, V2, V3))
    found = _now()
    for name, value in changes.items():
        setattr(found, name, value)
    assert why in wanted.unusable(found)


def test_durability_is_that_of_the_question() -> None:
    synced = _now(facts={**_HERE, "durability": _FLUSHED})
    for loss, report, serves in (
        (Loss.NOTHING, synced, True),
        (Loss.SECONDS, synced, False),
        (Loss.NOTHING, _now(), False),
        (Loss.SECONDS, _now(), True),
    ):
        wanted = Measurement.of(Question(20, 200, 50, loss), (V1, V2, V3))
        assert (not wanted.unusable(report)) is serves, loss


def test_parts_that_are_apart_are_measured_apart() -> None:
    near, far = (Measurement.of(Question(20, 200, 50, round_trip_ms=ms), (V1, V2)) for ms in (0, 2.5))
    assert near.name != far.name
    assert "apart" in far.unusable(_now())
    apart = _now(facts={**_HERE, "round_trip_ms": 2.5})
    assert (far.unusable(apart), near.unusable(apart)) == ("", "its parts were another distance apart")


def test_what_was_done_before_is_not_done_again(tmp_path: Path) -> None:
    wanted = Measurement.of(Question(20, 200, 50), (V1, V2))
    figures = Figures()
    for number, name in ((3, "alone.20.cpu"), (2, "alone.200.cpu"), (1, "breakpoint")):
        for pipeline in (V1, V2) if number > 1 else (V1,):
            for _ in range(number):
                figures.add(f"{pipeline}.{name}", 1.0, "")
    stack = SimpleNamespace(home=tmp_path)
    harness: Any = SimpleNamespace(
        size=wanted.size, pipelines=(V1, V2), figures=figures, stack=stack, notes=[], settings=None
    )
    names = [step.name for step in _steps(harness, "", KillTimeline(), tmp_path / "kept", 0.0, None)]
    assert "round 2 of 3: fsync of the disk" not in names
    assert "round 3 of 3: v2 at 200/s" in names
    assert [name for name in names if name.startswith("where")] == ["where v2 ends", "where v2 ends is kept"]
    notes = [
        "v1: 300 orders/s are too many, twice",
        "v2.alone.20: one repetition left out",
        "the machine was slow",
    ]
    _take_up(harness, _now(figures=Figures(), notes=notes), lambda _: None)
    assert harness.notes[:2] == notes[:2]
    assert "the machine was slow" not in harness.notes


def test_what_was_kept_is_read_again_and_what_is_none_is_left(tmp_path: Path) -> None:
    wanted = Measurement.of(Question(20, 200, 50), (V1, V2))
    file = tmp_path / wanted.name
    assert read_kept(wanted, file) is None
    file.write_text('{"half": ', encoding="utf-8")
    assert read_kept(wanted, file) is None
    _now().write(file)
    assert read_kept(wanted, file) is not None
