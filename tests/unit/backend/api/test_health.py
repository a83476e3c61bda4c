"""The probe of a dependency: up, down, at once when in doubt; what it cannot explain ends the API."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from backend.api.pipelines import RunningPipelines
from backend.clients import health as health_module
from backend.clients.health import Health
from backend.clients.redis import RedisClient
from coffee_core.errors import UnavailableError
from coffee_core.settings import Settings
from tests.waiting import until


@contextlib.asynccontextmanager
async def _asking(health: Health, probe: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    task = asyncio.create_task(health.keep_probing(probe))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_follows_what_the_probe_says(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(health_module, "UP_INTERVAL_S", 600.0)  # what is up is asked again only in doubt
    reason = "refused"

    async def probe() -> None:
        if reason:
            raise UnavailableError(reason)

    health = Health("redis")
    caplog.set_level(logging.INFO)
    async with _asking(health, probe):
        await until(lambda: health.detail == "refused")
        with pytest.raises(UnavailableError, match="redis is down: refused"):
            health.require()
        down_since_us, reason = health.since_us, ""
        await until(lambda: health.up)
        health.require()
        assert (health.detail, health.since_us > down_since_us) == ("", True)
        reason = "gone"
        health.doubt()
        await until(lambda: not health.up)
    assert [record.message for record in caplog.records] == [
        "redis is down: refused",
        "redis is up",
        "redis is down: gone",
    ], "one line a change, however often it was asked"


async def test_a_probe_that_hangs_is_a_dependency_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "PROBE_TIMEOUT_S", 0.01)
    health = Health("kafka")
    async with _asking(health, asyncio.Event().wait):
        await until(lambda: health.detail == "it does not answer")


async def test_an_error_that_nobody_expects_ends_the_api(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: RedisClient) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(RedisClient, "_probe", broken)
    crashed = asyncio.Event()
    async with RunningPipelines(settings).keep_open(crashed.set):
        async with asyncio.timeout(5):
            await crashed.wait()
    assert "can no longer be watched" in caplog.text
