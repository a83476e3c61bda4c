"""A recording holds exactly what was shown; it plays, holds, steps; a file of another kind is refused."""

import asyncio
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coffee_core.errors import CoffeeError
from coffee_core.pipelines import DEFAULT_PIPELINES
from coffee_core.pipelines.constants import V2
from coffee_core.totals import PipelineCounts
from coffee_tui.app import CoffeeApp
from coffee_tui.data.plain import from_plain, to_plain
from coffee_tui.data.recording import SPEEDS, Frame, Player, Recorder, RecordingError, delta, patch, read_recording
from coffee_tui.data.snapshot import CostView, Health, KeyOrder, OrdersView, PartView, PipelineView, Snapshot
from coffee_tui.data.sources import demo, open_recorder, replay
from tests.unit.coffee_tui.scripted import ALL, column, screen_text, snapshot
from tests.waiting import until

BROKEN = snapshot(parts=(PartView("kafka", Health.BROKEN, "backoff", "exit code 1"),))
NEXT_SECOND = snapshot(
    pipelines=tuple(
        replace(column(each), rate_history=(*column(each).rate_history[1:], 7.5), stalled_s=3)
        for each in DEFAULT_PIPELINES
    )
)
COUNTED = snapshot(
    pipelines=tuple(
        replace(column(each), counts=PipelineCounts(9, 8, 7, 1, 0, 0, 0, 0, 0), cost=CostView("worker", 7, 61))
        for each in DEFAULT_PIPELINES
    )
)
ORDERS = OrdersView(running=True, keys=(KeyOrder(V2, "latte", "acknowledged", 202, "", 900),))
SHOWN: list[Snapshot | OrdersView] = [snapshot(), ORDERS, NEXT_SECOND, COUNTED, BROKEN, OrdersView(), snapshot()]


def _record(path: Path) -> Path:
    recorder = Recorder(path, ALL)
    for value in SHOWN:
        recorder.write(value)
    recorder.close()
    return path


def test_what_was_recorded_is_what_was_shown(tmp_path: Path) -> None:
    pipelines, frames = read_recording(_record(tmp_path / "r"))
    assert pipelines == ALL
    assert [frame.value for frame in frames] == SHOWN
    assert [frame.at_s for frame in frames] == sorted(frame.at_s for frame in frames)


def test_a_second_of_history_is_a_few_bytes(tmp_path: Path) -> None:
    lines = gzip.decompress(_record(tmp_path / "r").read_bytes()).splitlines()
    second = json.loads(lines[3])["s"]["pipelines"]["#"]["0"]
    assert second == {"rate_history": {"+": [7.5], "n": 60}, "stalled_s": 3}


def test_a_cut_file_plays_until_the_cut(tmp_path: Path) -> None:
    whole = _record(tmp_path / "r").read_bytes()
    (tmp_path / "r").write_bytes(whole[: len(whole) * 2 // 3])
    _, frames = read_recording(tmp_path / "r")
    assert [frame.value for frame in frames] == SHOWN[: len(frames)]


@pytest.mark.parametrize(
    "content",
    [b"", b"not compressed", gzip.compress(b'{"format":"x"}\n', mtime=0), gzip.compress(b"[]\n", mtime=0)],
)
def test_another_file_is_no_recording(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r").write_bytes(content)
    with pytest.raises(RecordingError, match=str(tmp_path)):
        read_recording(tmp_path / "r")


def test_files_that_cannot_be_used_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(CoffeeError, match="cannot be read: No such file"):
        replay(tmp_path / "absent")
    with pytest.raises(CoffeeError, match="cannot be written"), open_recorder(tmp_path / "no" / "r", ALL):
        pass


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"a": 1, "b": [1, 2]}, {"a": 1, "b": []}),
        ({"a": None}, {"a": {"x": 1}}),
        ({"a": {"x": 1}}, {"a": None}),
        ([{"x": 1}], [{"x": 1}, {"x": 2}]),
        ([1, 2, 3], [2, 3, 4]),
        ([], [1, 2, 3, 4, 5, 6, 7]),
        ([["latte", 1]], [["latte", 2]]),
    ],
)
def test_a_change_leads_to_what_it_was_made_from(before: object, now: object) -> None:
    assert patch(before, json.loads(json.dumps(delta(before, now)))) == now


class Played:
    """A player that runs, and what it has published."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.shown: list[Snapshot] = []

    async def until(self, condition: Callable[[], object]) -> None:
        task = asyncio.create_task(self.player.run(self.shown.append))
        try:
            await until(condition)
        finally:
            task.cancel()
            await asyncio.wait({task})


def _frames(*at_s: float) -> list[Frame]:
    return [Frame(one, snapshot(uptime_s=int(one))) for one in at_s]


async def test_it_plays_in_its_own_time() -> None:
    loop, run = asyncio.get_running_loop(), Played(Player(_frames(0, 2, 4), speed=20))
    begun_s = loop.time()
    await run.until(lambda: len(run.shown) == 3)
    assert loop.time() - begun_s >= 0.2
    assert run.shown[-1].mode == "recording   4 s ×20"


async def test_it_holds_and_steps_and_stays_at_the_end() -> None:
    run = Played(Player(_frames(0, 1_000, 2_000)))
    await run.until(lambda: run.shown)
    run.player.pause()
    assert run.shown[-1].mode.endswith("paused")
    run.player.step()
    run.player.step()
    run.player.step()
    assert run.shown[-1].uptime_s == 2_000
    for _ in SPEEDS:
        run.player.faster(1)
    assert run.player.speed == SPEEDS[-1]


async def test_an_app_on_a_recording_takes_no_orders_and_says_so(tmp_path: Path) -> None:
    app = CoffeeApp(replay(_record(tmp_path / "r")))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: "all is well with v1" in screen_text(app))
        await pilot.press("1", "p")
        await until(lambda: "a recording takes no orders" in screen_text(app))
        assert "paused" in screen_text(app)
        await pilot.press("question_mark")
        assert "recording: faster" in screen_text(app)


async def test_a_recording_is_held_stepped_and_hurried_by_keys(tmp_path: Path) -> None:
    source = replay(_record(tmp_path / "r"))
    assert source.player is not None
    app = CoffeeApp(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.live.is_current)
        await pilot.press("p", "greater_than_sign", "right_square_bracket")
        assert (source.player.paused, source.player.speed) == (True, 5.0)
        await pilot.press("less_than_sign", "left_square_bracket", "<")
        assert source.player.speed == 0.5
        source.player._next = 0
        for shown in (value for value in SHOWN if isinstance(value, Snapshot)):
            await pilot.press("full_stop")
            await until(lambda shown=shown: app.live.snapshot.parts == shown.parts)
        await pilot.press("p")
        assert not source.player.paused


def test_the_shipped_recording_tells_its_story() -> None:
    source = demo()
    assert source.pipelines == ALL
    assert source.player is not None
    frames = [frame for frame in source.player.frames if isinstance(frame.value, Snapshot)]
    assert 45 <= frames[-1].at_s <= 150
    for name in ("stream-worker", "flink-taskmanager"):
        parts = [part for frame in frames for part in frame.value.parts if part.name.startswith(name)]
        assert not all(part.good for part in parts), f"{name} dies"
    faults = {"kill-stream-worker", "kill-flink-taskmanager", "flush-metrics", "replay-v3"}
    assert {frame.value.fault for frame in frames} - {""} == faults
    assert all(part.good for part in frames[-1].value.parts), "and all are back"
    first = next(frame.value for frame in frames if frame.value.pipelines[0].orders is not None)
    for before, after in zip(first.pipelines, frames[-1].value.pipelines, strict=True):
        assert (after.orders or 0) > (before.orders or 0), before.pipeline


def test_counts_have_the_keys_of_older_recordings() -> None:
    plain = to_plain(PipelineCounts(9, 8, 7, 1, 3, 2, 0, 0, 0))
    assert (plain["duplicates"], plain["dead"]) == (3, 2)
    assert from_plain(PipelineCounts, plain).dead_letters == 2
    view = replace(column(DEFAULT_PIPELINES[0]), counts=PipelineCounts(9, 8, 7, 1, 3, 2, 0, 0, 0))
    assert to_plain(view)["account"] == plain
    assert from_plain(PipelineView, to_plain(view)) == view
