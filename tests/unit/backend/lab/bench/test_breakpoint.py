"""The search for the breakpoint: a rate that fails between two that do not is a disturbance."""

from dataclasses import replace
from typing import Any, cast

import pytest

from backend.lab.bench import steps_load
from backend.lab.bench.harness import Harness
from backend.lab.bench.size import TINY
from backend.lab.bench.steps_load import breakpoint_of
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V2

LADDER = (100, 200, 300, 400)


@pytest.mark.parametrize(
    ("too_many", "found", "tried", "note"),
    [
        ({}, 400, [100, 200, 300, 400], "v2: its breakpoint lies above 400 orders/s, the highest rate tried"),
        ({200: 1}, 400, [100, 200, 200, 300, 400], "v2: its breakpoint lies above 400"),
        (
            {200: 2},
            400,
            [100, 200, 200, 300, 400],
            "v2: 200 orders/s are too many, twice: late; and then 300 were not",
        ),
        ({200: 2, 300: 2}, 100, [100, 200, 200, 300, 300], "v2: 200 orders/s are too many, twice: late"),
        ({400: 2}, 300, [100, 200, 300, 400, 400], "v2: 400 orders/s are too many, twice: late"),
        ({100: 2, 200: 2}, 0, [100, 100, 200, 200], "v2: 100 orders/s are too many, twice: late"),
    ],
)
async def test_where_a_pipeline_ends(
    monkeypatch: pytest.MonkeyPatch, too_many: dict[int, int], found: int, tried: list[int], note: str
) -> None:
    asked: list[int] = []

    async def try_rate(_harness: Harness, _pipeline: Pipeline, offered: int) -> str:
        asked.append(offered)
        return "late" if asked.count(offered) <= too_many.get(offered, 0) else ""

    monkeypatch.setattr(steps_load, "_try", try_rate)
    harness = Harness(replace(TINY, ladder=LADDER), *cast("Any", (None, None, None)))
    await breakpoint_of(harness, V2)
    assert harness.figures.middle("v2.breakpoint") == found
    assert asked == tried
    assert harness.notes[0].startswith(note)
