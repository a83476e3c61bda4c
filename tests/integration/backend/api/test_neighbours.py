"""Several API processes behind one port: whichever is asked tells of all, also of those that have died."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.backend.api.process import ORDER, Api, running
from tests.servers import free_port
from tests.waiting import until

ROUTE = {"route": "/api/v2/order", "method": "POST"}


async def _ask(api: Api, method: str, path: str, **sent: Any) -> tuple[int, str]:
    """Ask on a connection of its own, which any process may get."""
    async with (
        aiohttp.ClientSession(api.base_url) as session,
        session.request(method, path, **sent) as answer,
    ):
        return answer.status, await answer.text()


async def _samples(api: Api) -> dict[tuple[str, str], float]:
    """Return what /metrics says: name and first label's value → value, those of one route alone."""
    said = (await _ask(api, "GET", "/metrics"))[1]

    def samples() -> Iterator[tuple[tuple[str, str], float]]:
        for family in text_string_to_metric_families(said):
            for sample in family.samples:
                of = {name: value for name, value in sample.labels.items() if ROUTE.get(name) != value}
                if "route" not in of:
                    yield (sample.name, next(iter(of.values()), "")), sample.value

    return dict(samples())


class Sent:
    """What was sent, and what must be told of it."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.taken = self.refused = 0

    async def orders(self, count: int) -> None:
        """Send as many orders, and as many bodies that are none, each on its own connection."""
        asked = [_ask(self._api, "POST", "/api/v2/order", json=body) for body in (ORDER, {}) for _ in range(count)]
        statuses = [status for status, _ in await asyncio.gather(*asked)]
        assert sorted(statuses) == [202] * count + [422] * count
        self.taken, self.refused = self.taken + count, self.refused + count

    async def is_told(self, living: int) -> None:
        """Check what is told by whoever answers."""
        for _ in range(12):
            found = await until(self._alone)
            assert found["coffee_api_requests_total", "202"] == self.taken
            assert found["coffee_api_requests_total", "422"] == self.refused
            assert found["coffee_api_request_seconds_count", ""] == self.taken + self.refused
            assert found["coffee_api_request_seconds_bucket", "+Inf"] == self.taken + self.refused
            assert found["coffee_dependency_up", "redis"] == 1
            assert len([1 for name, _ in found if name == "process_resident_memory_bytes"]) == living
            lab = await self._lab()
            assert lab["answers"]["v2"] == {"202": self.taken, "422": self.refused}
            assert sum(lab["api_latency"]["v2"].values()) == self.taken
            assert lab["ready"] == {"v2": True}
            assert len(lab["processes"]) == living

    async def _alone(self) -> "dict[tuple[str, str], float] | None":
        # A process counts what it has answered after its client has the answer, and leaves the room last of all.
        found = await _samples(self._api)
        return found if found["coffee_api_requests_in_flight", ""] == 1 else None

    async def _lab(self) -> Any:
        async with aiohttp.ClientSession(self._api.base_url) as session, session.get("/api/lab") as answer:
            return await answer.json()


async def test_whoever_answers_tells_of_all(tmp_path: Path, redis_url: str) -> None:
    port = free_port()
    env = {"REDIS_URL": redis_url, "COFFEE_PIPELINES": "v2", "COFFEE_API_PORT_SHARED": "yes"}
    env |= {"COFFEE_LOG_LEVEL": "debug"}

    async def start(name: str) -> Api:
        api = await stack.enter_async_context(running(tmp_path, port, name, **env))
        await until(lambda: "redis is up" in (tmp_path / f"{name}.log").read_text())
        return api

    async with AsyncExitStack() as stack:
        one, two = await start("one"), await start("two")
        sent = Sent(two)
        await sent.orders(40)
        for path in ("POST /api/v2/order", "GET /metrics"):
            await until(lambda path=path: _both(tmp_path, path, two))
        await sent.is_told(living=2)
        one.kill()
        await sent.is_told(living=1)
        await start("three")
        await sent.orders(20)
        await sent.is_told(living=2)


async def _both(home: Path, words: str, api: Api) -> bool:
    """Tell whether both processes have answered this; the system hands out the connections."""
    await _ask(api, "GET", "/metrics")
    return all(words in (home / f"{name}.log").read_text() for name in ("one", "two"))


async def test_a_process_that_misses_something_is_told_of_by_the_other(tmp_path: Path, redis_url: str) -> None:
    port = free_port()
    env = {"COFFEE_PIPELINES": "v2", "COFFEE_API_PORT_SHARED": "yes"}
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    async with (
        running(tmp_path, port, "one", REDIS_URL=redis_url, **env) as api,
        running(tmp_path, port, "two", REDIS_URL=nowhere, **env) as other,
    ):
        await until(lambda: "redis is up" in (tmp_path / "one.log").read_text())
        for _ in range(12):
            assert (await _samples(api))["coffee_dependency_up", "redis"] == 0
        other.kill()
        await until(lambda: _is_up(api))


async def _is_up(api: Api) -> bool:
    return (await _samples(api))["coffee_dependency_up", "redis"] == 1


@pytest.mark.parametrize("shared", ["no", "yes"])
async def test_a_restart_of_the_only_process_begins_anew(tmp_path: Path, shared: str, redis_url: str) -> None:
    port = free_port()
    env = {"REDIS_URL": redis_url, "COFFEE_PIPELINES": "v2", "COFFEE_API_PORT_SHARED": shared}
    for _ in range(2):
        async with running(tmp_path, port, **env) as api:
            await until(lambda: api.is_ready("v2"))
            sent = Sent(api)
            await sent.orders(3)
            await sent.is_told(living=1)
