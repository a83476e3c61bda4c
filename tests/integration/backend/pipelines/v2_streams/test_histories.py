"""Any history of posts, interleavings, deaths, lost scripts, flushes and restarts ends as the model predicts."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from redis.asyncio import Redis

from backend.clients.daemon import Database, open_redis
from backend.pipelines.v2_streams import batch, reconcile, worker
from backend.pipelines.v2_streams.batch import METRICS, BatchScripts
from backend.stack import redis as redis_stack
from coffee_core import keys
from coffee_core.settings import Settings
from tests.integration.backend.pipelines.v2_streams.bench import drain, started
from tests.integration.backend.pipelines.v2_streams.history import (
    POISON_CENTS,
    WORKERS,
    Disturb,
    Event,
    Fields,
    Go,
    Kill,
    Post,
    histories,
)
from tests.integration.backend.pipelines.v2_streams.model import Entry, assert_as_the_model
from tests.integration.backend.pipelines.v2_streams.puppet import Puppet
from tests.servers import free_port, serving

EXAMPLES = int(os.environ.get("COFFEE_HISTORIES", "60"))
"""Always the same ones, and the first of however many are asked for."""


class Server:
    """A Valkey of these tests' own, which may be killed."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings.from_env({"COFFEE_HOME": str(folder), "COFFEE_REDIS_PORT": str(free_port())})
        self._running = contextlib.ExitStack()

    def start(self) -> None:
        part = redis_stack.part(self.settings)
        self._process = self._running.enter_context(serving(part, self.settings, self.settings.home / "log"))

    def restart(self) -> None:
        """Kill it and start it again on its append-only file."""
        self._process.kill()
        self._process.wait()
        self._running.close()
        self.start()

    def stop(self) -> None:
        self._running.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("mortal redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def own(server: Server) -> AsyncIterator[Redis]:
    async with open_redis(server.settings.redis_url) as opened:
        yield opened


@pytest.fixture(params=[0, 3600], ids=["claims always", "reads ahead"])
async def strict(
    request: pytest.FixtureRequest, connection: Database, monkeypatch: pytest.MonkeyPatch
) -> Database:
    """A table that refuses a price, and workers that wait for nothing: what is due later is due now.

    Who always asks for the entries of dead workers never reads ahead; else each asks as long as there are some.
    """
    monkeypatch.setattr(batch, "MIN_IDLE_MS", 0)
    monkeypatch.setattr(batch, "BLOCK_MS", None)
    monkeypatch.setattr(worker, "_CLAIM_EVERY_S", request.param)
    monkeypatch.setattr(worker, "_CHECK_EVERY_S", 0)
    monkeypatch.setattr(reconcile, "_LEASE_US", 0)
    monkeypatch.setattr(batch, "_ALL_NEW_FROM", 2)
    await connection.execute(f"alter table orders_v2 add constraint refused check (price_cents <> {POISON_CENTS})")
    return connection


class Stage:
    """The servers of one history, the workers on them, and what has been posted."""

    def __init__(self, connection: Database, client: Redis, server: Server) -> None:
        self.posted: list[Entry] = []
        self._client = client
        self._server = server
        self._puppets = [Puppet(connection, client, f"test-{each}", 1 + each * 2) for each in range(WORKERS)]
        self._restarts_left = 1  # each costs as much as all the rest of a history

    async def play(self, events: list[Event]) -> None:
        """Let it all happen; whoever still stands at the end dies there."""
        try:
            for event in events:
                match event:
                    case Post(entries):
                        await self._post(entries)
                    case Go(number, calls):
                        await self._puppets[number].advance(calls)
                    case Kill(number):
                        await self._puppets[number].kill()
                    case Disturb(how):
                        await self._disturb(how)
        finally:
            for puppet in self._puppets:
                await puppet.kill()

    async def _post(self, entries: tuple[tuple[str, Fields], ...]) -> None:
        for kind, fields in entries:
            self.posted.append((await self._client.xadd(keys.STREAM, {**fields}), kind, fields))

    async def _disturb(self, how: str) -> None:
        if how == "forget":
            await self._client.script_flush()
        elif how == "flush":
            await self._client.delete(*METRICS.metrics)
        elif how == "part":
            await self._client.delete(METRICS.drink_revenue, METRICS.store_counts)
        elif self._restarts_left:
            self._restarts_left -= 1
            self._server.restart()
            await self._client.connection_pool.disconnect()


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(events=histories)
async def test_every_history_ends_as_the_model_says(
    strict: Database, own: Redis, server: Server, events: list[Event]
) -> None:
    await strict.execute("delete from orders_v2")
    await own.flushall()
    await own.xgroup_create(keys.STREAM, keys.STREAM_GROUP, id="0", mkstream=True)
    note("\n".join(map(repr, events)))
    stage = Stage(strict, own, server)
    await stage.play(events)
    last = await started(strict, own, "test-0", batch_orders=4)
    await drain(last, own)
    while not await BatchScripts(own, "test-0").are_metrics_consistent():
        await last.step()
    await assert_as_the_model(strict, own, stage.posted)
