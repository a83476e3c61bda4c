"""The live feed on a real Valkey: it sees changes at once, after a restart too, and says when it polls."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from redis.asyncio import Redis

from backend.stack import redis as redis_stack
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V2
from coffee_core.settings import Settings
from coffee_tui.data import live, redis_reader
from coffee_tui.data.connection import Attachment
from coffee_tui.data.live import LIVE, POLLING, LiveFeed
from coffee_tui.data.readings import RedisReading
from coffee_tui.data.snapshot import Snapshot
from tests.servers import free_port, serving
from tests.waiting import until

READ_ONLY = ["+@read", "+@pubsub", "+@connection", "+@transaction"]
KEYS = MetricKeys(V2)


class Watched:
    """A running feed and the snapshots that it has published."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = [Snapshot()]

    @property
    def last(self) -> Snapshot:
        return self.snapshots[-1]

    def orders(self, pipeline: Pipeline = V2) -> int | None:
        return next(view.orders for view in self.last.pipelines if view.pipeline == pipeline)


@contextlib.asynccontextmanager
async def watching(settings: Settings) -> AsyncIterator[Watched]:
    watched = Watched()
    task = asyncio.create_task(LiveFeed(Attachment.to(settings)).run(watched.snapshots.append))
    try:
        yield watched
        assert not task.done(), task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _settings(url: str, tmp_path: Path) -> Settings:
    return Settings.attach(
        {"REDIS_URL": url, "API_URL": f"http://127.0.0.1:{free_port()}", "COFFEE_HOME": str(tmp_path)}
    )


@pytest.fixture
def only_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed that does not look by itself: what it sees it was told of."""
    monkeypatch.setattr(live, "TICK_S", 3_600.0)


@pytest.mark.usefixtures("only_when_told")
async def test_a_change_is_seen_at_once(redis_url: str, tmp_path: Path) -> None:
    async with watching(_settings(redis_url, tmp_path)) as watched, Redis.from_url(redis_url) as redis:
        await until(lambda: watched.last.mode == LIVE and watched.orders() == 0)
        await redis.hset(KEYS.drink_counts, "latte", 1)
        await redis.incrby(KEYS.total_revenue, 500)
        await redis.incr(KEYS.total_orders)
        await until(lambda: watched.orders() == 1)
        view = watched.last.pipelines[1]
        assert dict(view.drinks)["latte"] == 1
        assert view.revenue_cents == 500


async def test_a_flood_of_changes_is_few_snapshots(redis_url: str, tmp_path: Path) -> None:
    async with watching(_settings(redis_url, tmp_path)) as watched, Redis.from_url(redis_url) as redis:
        await until(lambda: watched.last.mode == LIVE and watched.orders() == 0)
        loop, before = asyncio.get_running_loop(), len(watched.snapshots)
        begun_s = loop.time()
        for _ in range(2_000):
            await redis.incr(KEYS.total_orders)
        await until(lambda: watched.orders() == 2_000)
        took_s = loop.time() - begun_s
        assert len(watched.snapshots) - before <= took_s * 10 + 2


@pytest.mark.usefixtures("only_when_told")
async def test_after_a_restart_it_reads_the_state_again_and_hears_again(tmp_path: Path) -> None:
    settings = Settings.from_env({"COFFEE_HOME": str(tmp_path), "COFFEE_REDIS_PORT": str(free_port())})
    part, log = redis_stack.part(settings), tmp_path / "log"
    async with watching(_settings(settings.redis_url, tmp_path)) as watched:
        await until(lambda: watched.last.redis.up is False)
        assert watched.last.redis.detail == "connection refused"
        for orders in (1, 2):
            with serving(part, settings, log):
                await until(lambda orders=orders: watched.orders() == orders - 1, within_s=20)
                await until(lambda: watched.last.mode == LIVE)
                async with Redis.from_url(settings.redis_url) as redis:
                    await redis.incr(KEYS.total_orders)
                await until(lambda orders=orders: watched.orders() == orders)
            await until(lambda: watched.last.redis.up is False)


async def test_it_ends_where_the_redis_client_loses_the_first_cancellation(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, reading, lost = redis_reader.read, asyncio.Event(), asyncio.Event()

    async def losing(client: Redis, pipelines: Sequence[Pipeline]) -> RedisReading:
        if not lost.is_set():
            reading.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost.set()
        return await read(client, pipelines)

    monkeypatch.setattr(redis_reader, "read", losing)
    task = asyncio.create_task(LiveFeed(Attachment.to(_settings(redis_url, tmp_path))).run(lambda _: None))
    await reading.wait()
    task.cancel()
    async with asyncio.timeout(60):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert lost.is_set()


@pytest.mark.parametrize("setting", ["", "Kl"])
async def test_where_nothing_is_notified_it_polls_and_says_so(
    redis_url: str, tmp_path: Path, setting: str
) -> None:
    async with Redis.from_url(redis_url) as redis:
        given = (await redis.config_get("notify-keyspace-events"))["notify-keyspace-events"]
        await redis.config_set("notify-keyspace-events", setting)
        try:
            async with watching(_settings(redis_url, tmp_path)) as watched:
                await until(lambda: watched.last.mode == POLLING)
                await redis.incr(KEYS.total_orders)
                await until(lambda: watched.orders() == 1)
        finally:
            await redis.config_set("notify-keyspace-events", given)


async def test_a_server_that_refuses_the_question_is_live_once_it_notifies(redis_url: str, tmp_path: Path) -> None:
    async with Redis.from_url(redis_url) as redis:
        await redis.acl_setuser(
            "viewer", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=READ_ONLY
        )
        try:
            url = f"redis://viewer:any@{redis_url.rpartition('@')[2]}"
            async with watching(_settings(url, tmp_path)) as watched:
                await until(lambda: watched.last.mode == POLLING and watched.orders() == 0)
                await redis.incr(KEYS.total_orders)
                await until(lambda: watched.last.mode == LIVE and watched.orders() == 1)
        finally:
            await redis.acl_deluser("viewer")


async def test_a_key_of_the_wrong_kind_is_said_and_healed(redis_url: str, tmp_path: Path) -> None:
    async with watching(_settings(redis_url, tmp_path)) as watched, Redis.from_url(redis_url) as redis:
        await until(lambda: watched.orders() == 0)
        await redis.lpush(KEYS.drink_counts, "not a hash")
        await until(lambda: watched.last.redis.up is False)
        assert "Redis refuses the read" in watched.last.redis.detail
        await redis.delete(KEYS.drink_counts)
        await until(lambda: watched.last.redis.up is True)


async def test_in_a_flood_it_looks_unasked_and_listens_again_afterwards(redis_url: str, tmp_path: Path) -> None:
    async with watching(_settings(redis_url, tmp_path)) as watched, Redis.from_url(redis_url) as redis:
        await until(lambda: watched.last.mode == LIVE and watched.orders() == 0)
        channel = f"__keyspace@{redis.connection_pool.connection_kwargs.get('db', 0)}__:{KEYS.total_orders}"

        async def listeners() -> int:
            return int((await redis.pubsub_numsub(channel))[0][1])

        async def deaf() -> bool:
            for _ in range(40):
                await redis.incr(KEYS.total_orders)
            return await listeners() == 0

        assert await listeners() == 1
        await until(deaf, what="it stops listening")
        total = int(await redis.incr(KEYS.total_orders))
        await until(lambda: watched.orders() == total)
        await until(listeners, what="it listens again")
        await redis.incr(KEYS.total_orders)
        await until(lambda: watched.orders() == total + 1)
