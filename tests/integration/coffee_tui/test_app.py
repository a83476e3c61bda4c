"""The app with a scripted feed: keys, layout at every size, lost connections, errors that surface."""

from dataclasses import replace

import pytest
from textual.geometry import Region
from textual.worker import WorkerFailed

from coffee_core.pipelines import DEFAULT_PIPELINES
from coffee_core.pipelines.constants import V1, V2, V3
from coffee_tui.app import CoffeeApp
from coffee_tui.data.snapshot import Health, KeyOrder, Link, Mood, OrdersView, PartView, Snapshot, StatusLine
from coffee_tui.theme import DIM as DIM_NAME
from coffee_tui.theme import PALETTES
from tests.unit.coffee_tui.scripted import NOW_US, app, column, screen_strips, screen_text, snapshot
from tests.waiting import until

DIM = PALETTES["dark"][DIM_NAME]
SIZES = [(100, 28), (120, 40), (168, 44)]


async def test_keys_of_absent_pipelines_do_nothing() -> None:
    running, _, orders = app(pipelines=(V1, V2))
    async with running.run_test(size=(120, 40)) as pilot:
        await pilot.press("3", "a")
        assert orders.asked == [("order", V1, V2)]
        await pilot.press("question_mark")
        assert "one order into v3" not in screen_text(running)


@pytest.mark.parametrize("size", SIZES)
async def test_everything_that_matters_is_on_the_screen(size: tuple[int, int]) -> None:
    running, feed, _ = app()
    async with running.run_test(size=size) as pilot:
        feed.queue.put_nowait(snapshot())
        await until(lambda: "all is well with v3" in screen_text(running))
        await pilot.pause()
        text = screen_text(running)
        for each in (
            "v1  Direct",
            "v2  Streams",
            "v3  Kafka + Flink",
            "cappuccino",
            "latte",
            "uptown",
            "southend",
        ):
            assert each in text, each
        assert text.count("5,210") == 3
        assert text.count("58,310") == 3
        assert text.count("3.1 ms") >= 3
        assert text.count("all is well") == 3
        assert "12:41" in text
        assert "stopped" in text
        assert "quit" in text
        assert ("How late is the dashboard?" in text) is (size[1] >= 32)
        assert all(len(line) <= size[0] for line in text.splitlines())


async def test_while_the_stack_comes_up_every_part_is_shown() -> None:
    running, feed, _ = app()
    parts = (
        PartView("postgres", Health.GOOD, "up"),
        PartView("kafka", Health.STARTING, "starting"),
        PartView("flink-jobmanager", Health.WAITING, "waiting", "needs kafka"),
    )
    async with running.run_test(size=(120, 40)):
        feed.queue.put_nowait(snapshot(parts=parts, redis=Link(), api=Link()))
        await until(lambda: "needs kafka" in screen_text(running))
        assert "starting" in screen_text(running)
        feed.queue.put_nowait(snapshot())
        await until(lambda: "How late is the dashboard?" in screen_text(running))
        broken = (PartView("kafka", Health.BROKEN, "backoff", "exit code 1"),)
        feed.queue.put_nowait(snapshot(parts=broken, uptime_s=800))
        await until(lambda: "kafka ×" in screen_text(running))
        assert "How late is the dashboard?" in screen_text(running), "the band stays where it is"


async def test_a_lost_redis_is_said_and_keys_still_work() -> None:
    running, feed, orders = app()
    async with running.run_test(size=(120, 40)) as pilot:
        feed.queue.put_nowait(snapshot())
        await until(lambda: "all is well" in screen_text(running))
        status = StatusLine("Redis silent since 12:00:00: connection refused", Mood.BROKEN)
        lost = snapshot(
            redis=Link(False, NOW_US, "connection refused"),
            pipelines=tuple(column(pipeline, status=status) for pipeline in DEFAULT_PIPELINES),
        )
        feed.queue.put_nowait(lost)
        await until(lambda: "no connection" in screen_text(running))
        assert "Redis silent since" in screen_text(running)
        assert _colours(running, "58,310") == {DIM}
        await pilot.press("2")
        assert orders.asked == [("order", V2)]
        feed.queue.put_nowait(snapshot())
        await until(lambda: "no connection" not in screen_text(running))
        assert DIM not in _colours(running, "58,310")


def _colours(running: CoffeeApp, words: str) -> set[str]:
    """Return the colours in which something is written."""
    return {
        segment.style.color.name
        for strip in screen_strips(running)
        for segment in strip
        if words in segment.text and segment.style is not None and segment.style.color is not None
    }


async def test_polling_is_said() -> None:
    running, feed, _ = app()
    async with running.run_test(size=(120, 40)):
        feed.queue.put_nowait(snapshot(mode="polling every 1 s"))
        await until(lambda: "polling every 1 s" in screen_text(running))


async def test_a_stalled_pipeline_is_seen_in_the_band() -> None:
    running, feed, _ = app()
    async with running.run_test(size=(168, 44)):
        views = [column(pipeline) for pipeline in DEFAULT_PIPELINES]
        views[2] = replace(views[2], stalled_s=4)
        feed.queue.put_nowait(snapshot(pipelines=tuple(views)))
        await until(lambda: "none shown for 4 s" in screen_text(running))
        assert "┄×" in screen_text(running)


async def test_the_answer_to_a_key_is_seen() -> None:
    running, _, orders = app()
    async with running.run_test(size=(168, 44)):
        orders.views.put_nowait(OrdersView(keys=(KeyOrder(V1, "latte at uptown, $ 5.00"),)))
        await until(lambda: "on its way" in screen_text(running))
        done = KeyOrder(V1, "latte", "acknowledged", 201, "", 3_100)
        refused = KeyOrder(V3, "latte", "refused", 503, "Kafka is down", 900)
        orders.views.put_nowait(OrdersView(keys=(done, refused)))
        await until(lambda: "accepted 201" in screen_text(running))
        assert "refused 503 Kafka is down" in screen_text(running)


async def test_large_numbers_do_not_move_the_layout() -> None:
    running, feed, _ = app()
    async with running.run_test(size=(120, 40)) as pilot:
        columns: set[int] = set()
        for orders in (0, 1_000, 9_999_999):
            feed.queue.put_nowait(snapshot(pipelines=tuple(column(each, orders) for each in DEFAULT_PIPELINES)))
            await until(lambda orders=orders: running.live.snapshot.pipelines[0].orders == orders)
            await pilot.pause()
            line = next(line for line in screen_text(running).splitlines() if "58,310" in line)
            columns.add(line.index("58,310"))
        assert len(columns) == 1


async def test_what_a_frame_says_is_drawn_without_what_is_in_it() -> None:
    running, feed, _ = app()
    async with running.run_test(size=(120, 40)) as pilot:
        feed.queue.put_nowait(snapshot())
        await until(lambda: "all is well with v1" in screen_text(running))
        shown = running.live._columns[V1]
        shown._repaint_regions.clear()
        shown.set_border_subtitle("worker cpu 42 %")
        assert shown._repaint_regions == {Region(0, shown.outer_size.height - 1, shown.outer_size.width, 1)}
        await pilot.pause()
        text = screen_text(running)
        assert "worker cpu 42 % ─" in text
        assert "$ 58,310.50" in text


async def test_help_lists_every_key_and_closes() -> None:
    running, _, _ = app()
    async with running.run_test(size=(120, 40)) as pilot:
        await pilot.press("question_mark")
        text = screen_text(running)
        for words in (
            "one order into v1",
            "start or stop the load",
            "fewer orders per second",
            "a burst into each",
        ):
            assert words in text
        await pilot.press("escape")
        assert "start or stop the load" not in screen_text(running)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_a_key_ends_it_and_its_side_tasks(key: str) -> None:
    running, feed, orders = app()
    async with running.run_test() as pilot:
        feed.queue.put_nowait(snapshot())
        await until(lambda: running.live.snapshot != Snapshot())
        await pilot.press(key)
    assert running.return_code == 0
    assert feed.ended
    assert orders.ended


async def test_an_error_of_the_feed_ends_the_app_with_it() -> None:
    running, feed, _ = app()

    class FeedError(Exception):
        pass

    feed.queue.put_nowait(FeedError("boom"))

    async def run() -> None:
        async with running.run_test():
            await until(lambda: not running.is_running)

    with pytest.raises(WorkerFailed, match="boom"):
        await run()
