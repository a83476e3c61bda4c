"""X-ray against a real Redis: the six keys before and after, and what cannot be known."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from coffee_core.keys import MetricKeys
from coffee_core.pipelines.constants import V2
from coffee_core.settings import Settings
from coffee_tui.data.xray import KeysWatch, fetch_xray
from coffee_tui.screens import xray
from coffee_tui.screens.xray import XRayScreen
from tests.integration.coffee_tui import page_scenes
from tests.integration.coffee_tui.desk import desk_at
from tests.unit.coffee_tui.scripted import screen_text
from tests.waiting import until

KEYS = MetricKeys(V2)


def _settings(redis_url: str) -> Settings:
    return Settings.from_env({"REDIS_URL": redis_url, "API_URL": "http://127.0.0.1:1"})


async def test_the_keys_before_and_after_an_order(redis_url: str) -> None:
    watch = KeysWatch(_settings(redis_url), V2)
    await watch.look()
    assert watch.changes()[KEYS.total_orders] == "0 → …"
    waiting = asyncio.create_task(watch.wait())
    async with Redis.from_url(redis_url) as client, client.pipeline(transaction=True) as batch:
        batch.hincrby(KEYS.drink_counts, "latte", 1)
        batch.hincrby(KEYS.store_revenue, "uptown", 500)
        batch.incrby(KEYS.total_revenue, 1_500)
        batch.incr(KEYS.total_orders)
        await batch.execute()
    await waiting
    changes = watch.changes()
    assert changes[KEYS.total_orders] == "0 → 1"
    assert changes[KEYS.total_revenue] == "0 → 1,500"
    assert changes[KEYS.drink_counts] == "latte 0 → 1"
    assert changes[KEYS.store_counts] == ""


async def test_keys_that_cannot_be_read_are_not_known() -> None:
    watch = KeysWatch(_settings("redis://127.0.0.1:1/0"), V2)
    await watch.look()
    await watch.wait()
    assert watch.trouble
    assert watch.changes() == {}


async def test_an_api_that_is_away_is_said() -> None:
    found = await fetch_xray(_settings("redis://127.0.0.1:1/0"), V2, "018bcfe5-6800-7000-8000-000000000000")
    assert found.trouble
    assert not found.steps


async def test_a_step_can_be_copied_and_the_page_is_a_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(xray, "fetch_xray", page_scenes.xray)
    async with desk_at(tmp_path, "r", (120, 40)) as desk:
        await desk.pilot.press("right")
        await until(lambda: desk.at(XRayScreen) and "XADD orders:stream" in screen_text(desk.app))
        await desk.pilot.press("down", "y")
        await until(lambda: desk.app.clipboard.startswith('redis-cli -u "$REDIS_URL" XADD orders:stream'))
        script = desk.app.screen.text()  # type: ignore[attr-defined]
    assert script.startswith("# v2: export $(coffee env)")
    assert script.count("redis-cli -u") == 9
