"""A dashboard that is there before its stack finds it when it comes."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from coffee_core.runstate import write_env
from coffee_core.settings import Settings
from coffee_tui.data import live
from coffee_tui.data.connection import Attachment
from coffee_tui.data.live import LiveFeed
from coffee_tui.data.snapshot import Snapshot
from tests.servers import free_port
from tests.waiting import until

LAB = {"uptime_s": 5, "ready": {}, "dependencies": {}, "api_latency": {}, "answers": {}, "parts": []}


async def test_a_stack_that_comes_later_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "TICK_S", 0.05)
    environ = {
        "COFFEE_HOME": str(tmp_path),
        "COFFEE_API_PORT": str(free_port()),
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}",
    }
    shown: list[Snapshot] = [Snapshot()]
    task = asyncio.create_task(LiveFeed(Attachment(lambda: Settings.attach(environ))).run(shown.append))

    async def lab(_: web.Request) -> web.Response:
        return web.Response(text=json.dumps(LAB))

    stack = web.Application()
    stack.router.add_get("/api/lab", lab)
    try:
        await until(lambda: shown[-1].api.up is False)
        async with TestServer(stack) as server:
            write_env(tmp_path, {"API_URL": str(server.make_url("")).rstrip("/")})
            await until(lambda: shown[-1].api.up is True and shown[-1].uptime_s == 5)
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_a_link_that_breaks_as_the_dashboard_is_left_keeps_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = asyncio.Event()

    async def breaks_when_cancelled() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ConnectionResetError

    async def use_redis(_: LiveFeed) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(breaks_when_cancelled())
            await asyncio.sleep(0)
            used.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(LiveFeed, "_use_redis", use_redis)
    environ = {"COFFEE_HOME": str(tmp_path), "COFFEE_API_PORT": str(free_port())}
    task = asyncio.create_task(LiveFeed(Attachment(lambda: Settings.attach(environ))).run(lambda _: None))
    await used.wait()
    task.cancel()
    await until(task.done)
    assert task.cancelled()
