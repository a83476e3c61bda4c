"""The page of the windows, before a real Redis and an API's answer."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from redis.asyncio import Redis

from coffee_core.clock import now_us, to_datetime
from coffee_core.keys import MetricKeys
from coffee_core.pipelines.constants import V3
from coffee_core.settings import Settings
from coffee_core.windows import StoreSums, Windows, starts
from coffee_tui.app import CoffeeApp
from coffee_tui.data.connection import Attachment
from coffee_tui.data.event_windows import WindowsView
from coffee_tui.data.sources import Sources
from coffee_tui.screens.windows import windows_text
from tests.unit.coffee_tui.scripted import ALL, NotedOrders, ScriptedFeed, app, screen_text
from tests.waiting import until

KEYS = MetricKeys(V3)
NONE = {"uptown": 0, "downtown": 0, "central": 0, "southend": 0}


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def windows_body(start_s: int) -> dict[str, Any]:
    """Answer as the API does, of a v1 that has one order of $ 4.25 in this window."""
    sums = {"orders": 1, "revenue_cents": 425, "store_counts": {**NONE, "uptown": 1}}
    cents = {"store_revenue_cents": {**NONE, "uptown": 425}}
    return {
        "watermark_us": start_s * 1_000_000,
        "windows": [{"start_us": start_s * 1_000_000, "final": False, **sums, **cents}],
        "late": {"orders": 0, "revenue_cents": 0, "store_counts": NONE, "store_revenue_cents": NONE},
    }


async def test_w_shows_the_windows_of_v3_and_v1(tmp_path: Path, client: Redis, redis_url: str) -> None:
    (start_s,) = starts(now_us(), 1)
    await client.hset(KEYS.window(start_s - 60), mapping={"central:orders": 1234, "central:revenue": 567890})  # type: ignore[misc]
    await client.hset(KEYS.late, mapping={"uptown:orders": 3, "uptown:revenue": 1500})  # type: ignore[misc]
    await client.set(KEYS.watermark, start_s * 1_000)

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(windows_body(start_s))

    served = web.Application()
    served.router.add_get("/api/v1/windows", answer)
    async with TestServer(served) as server:
        settings = Settings.from_env(
            {"COFFEE_HOME": str(tmp_path), "API_URL": str(server.make_url("")), "REDIS_URL": redis_url}
        )
        running = CoffeeApp(Sources(ALL, ScriptedFeed(), NotedOrders(), attachment=Attachment.to(settings)))
        async with running.run_test(size=(120, 44)) as pilot:
            await pilot.press("w")
            await until(lambda: "1,234" in screen_text(running) and "$ 4.25" in screen_text(running))
            text = screen_text(running)
            assert f"watermark {to_datetime(start_s * 1_000_000):%H:%M:%S} UTC" in text
            assert re.search(r"1,234 +\$ 5,678\.90 .*final", text)
            assert re.search(r"late +3 +\$ 15\.00", text)
            await client.aclose()
            await server.close()
            await until(lambda: "×" in screen_text(running))
            assert "$ 4.25" in screen_text(running)
            await pilot.press("escape")
            await until(lambda: "Windows ·" not in screen_text(running))


async def test_a_recording_says_that_it_has_none() -> None:
    running, _, _ = app()
    async with running.run_test(size=(80, 24)) as pilot:
        await pilot.press("w")
        await until(lambda: "a recording has no windows" in screen_text(running))


def test_every_line_has_the_same_width_with_and_without_stores() -> None:
    windows = {start: StoreSums({**NONE, "uptown": 7}, {**NONE, "uptown": 3100}) for start in starts(now_us(), 10)}
    view = WindowsView(Windows(windows, StoreSums(), None))
    for width in (56, 76, 120):
        _, *rows = windows_text(V3, view, 7, width).plain.splitlines()
        assert {len(row) for row in rows[1:]} == {width}
        assert ("southend" in rows[0]) == (width > 76)
        assert "no watermark yet" in windows_text(V3, view, 7, width).plain
