"""The books of a bench: what each total must come to, also after a late answer and a failed step."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from backend.lab.bench import harness as harness_module
from backend.lab.bench.harness import Harness
from backend.lab.bench.size import TINY
from backend.lab.bench.visibility import TotalHistory
from coffee_core.pipelines.constants import V1, V2


class Draining(TotalHistory):
    """Has come on with every look, up to seven orders."""

    looks = 0

    @property
    def total(self) -> int:
        self.looks += 1
        return min(self.looks, 7)


class Watcher:
    """Shows what a test tells it."""

    def __init__(self) -> None:
        self.histories = {V1: TotalHistory(), V2: TotalHistory()}

    def show(self, total: int) -> None:
        self.histories[V2].note(float(total), total)

    async def reached(self, totals: dict[Any, int], _within_s: float) -> bool:
        return all(self.histories[pipeline].total >= total for pipeline, total in totals.items())


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def harness(watcher: Watcher) -> Harness:
    stack = SimpleNamespace(settings=SimpleNamespace(pipelines=(V1, V2)))
    return Harness(TINY, cast("Any", stack), cast("Any", watcher), cast("Any", None))


async def test_orders_that_were_taken_without_an_answer_are_in_the_books_from_then_on(
    harness: Harness, watcher: Watcher
) -> None:
    harness.accepted[V2] = 10
    watcher.show(12)
    await harness.settle([V2])
    assert harness.accepted[V2] == 12, "else each order seems visible when the one before it was"
    assert harness.notes == ["v2: 2 orders were taken without an answer in time"]
    await harness.settle([V2])
    assert len(harness.notes) == 1


async def test_after_a_failed_step_the_books_are_what_a_total_comes_to_at_rest(
    harness: Harness, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness_module, "_STILL_S", 0.001)
    watcher.histories[V2] = Draining()
    await harness.resync()
    assert harness.accepted[V2] == 7
    assert V1 not in harness.accepted, "its runs come when they come"
