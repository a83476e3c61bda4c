"""The steps of the talk: what they say fits, and what they do is there to be done."""

from itertools import chain

import pytest

from coffee_core.pipelines import DEFAULT_PIPELINES, PIPELINES, Pipeline
from coffee_core.pipelines.constants import V1, V2, V3, V5
from coffee_tui.app import screens
from coffee_tui.data.snapshot import Snapshot
from coffee_tui.data.sources import demo
from coffee_tui.data.tour import LINE_CELLS, Deed, moments, steps
from coffee_tui.keymap import BoundApp

FAULTS = ("kill-postgres", "kill-stream-worker", "flush-metrics", "replay-v2", "replay-v3")


@pytest.mark.parametrize("pipelines", [DEFAULT_PIPELINES, PIPELINES, (V1,), (V1, V5)], ids=str)
def test_every_line_can_be_read_at_a_hundred_cells(pipelines: tuple[Pipeline, ...]) -> None:
    app = BoundApp()
    app.bind_keys({}, chain.from_iterable(screens().values()))
    for step in steps(pipelines, FAULTS):
        assert max(len(app.named(line)) for line in step.lines) <= LINE_CELLS, step.title
        assert step.looks


def test_nothing_is_broken_that_is_not_there() -> None:
    assert [step.fault for step in steps(DEFAULT_PIPELINES, FAULTS) if step.deed is Deed.FAULT] == [
        "kill-stream-worker",
        "flush-metrics",
        "replay-v3",
    ]
    assert [step.fault for step in steps((V1, V2), FAULTS) if step.fault] == [
        "kill-stream-worker",
        "flush-metrics",
        "replay-v2",
    ]
    assert not [step for step in steps((V1, V5), ("kill-postgres",)) if step.fault]


def test_the_demo_has_what_it_shows() -> None:
    player = demo().player
    assert player is not None
    talk = steps((V1, V2, V3), FAULTS)
    found = dict(zip((step.title for step in talk), moments(talk, player.frames), strict=True))
    assert [title for title, at_s in found.items() if at_s is None] == []
    known = [at_s for at_s in found.values() if at_s is not None]
    assert known == sorted(known)
    last = next(frame.value for frame in reversed(player.frames) if isinstance(frame.value, Snapshot))
    for view in last.pipelines:
        assert view.counts is not None
        assert view.orders == view.counts.stored
        assert (view.counts.lost, view.counts.duplicated, view.counts.drift) == (0, 0, 0)
