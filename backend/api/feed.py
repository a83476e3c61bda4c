"""The dashboard, pushed on change: one subscription and one reading, however many watch."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from backend.api import dashboard
from backend.api.kinds import OVERLOADED
from backend.api.outcome import OutcomeUnknownError, UnavailableError
from backend.api.problems import ProblemError
from backend.api.redis_backend import RedisBackend
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline

log = logging.getLogger(__name__)

MIN_INTERVAL_S = 0.1
"""Seconds between two readings: at most ten a second, however many notifications come."""
MAX_INTERVAL_S = 2.0
"""Seconds after which it reads without a notification: one may be lost, or the server sends none."""
QUIET_S = 15.0
"""Seconds without a change after which a watcher is handed None, to see whether its client is still there."""
MAX_WATCHERS = 200
"""Most watchers at once."""


class Feed:
    """Newest snapshot, handed to every watcher; one that is slow misses those in between."""

    def __init__(self, redis: RedisBackend, url: str, closing: asyncio.Event) -> None:
        self._redis = redis
        self._url = url
        self._closing = closing
        self._watchers = 0
        self._task: asyncio.Task[None] | None = None
        self._newest: dashboard.Reading | None = None
        self._number = 0
        self._changed = asyncio.Event()

    async def watch(self) -> AsyncGenerator[bytes | None, None]:
        """Yield the JSON of the newest snapshot at once and on every change, until the API closes."""
        self.require_room()
        self._watchers += 1
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        try:
            seen = 0
            while not self._closing.is_set():
                if self._newest is not None and self._number != seen:
                    seen = self._number
                    yield self._newest.json()
                elif not await self._change():
                    yield None
        finally:
            self._watchers -= 1
            if not self._watchers:
                await self._stop()

    def require_room(self) -> None:
        """Raise ProblemError where there are as many watchers as there may be."""
        if self._watchers >= MAX_WATCHERS:
            raise ProblemError(OVERLOADED, f"{MAX_WATCHERS} watch the dashboard already")

    @asynccontextmanager
    async def ending(self) -> AsyncIterator[None]:
        """Let every watcher go as soon as ``closing`` is set."""

        async def end() -> None:
            await self._closing.wait()
            self._wake()

        task = asyncio.create_task(end())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _change(self) -> bool:
        try:
            async with asyncio.timeout(QUIET_S):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _stop(self) -> None:
        task, self._task, self._newest = self._task, None, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        failing = False
        while True:
            try:
                async with aclosing(self._notifications()) as notifications:
                    async for _ in notifications:
                        await self._read()
                        failing = False
            except (RedisError, OSError, UnavailableError, OutcomeUnknownError) as error:
                if not failing:
                    log.warning("the dashboard cannot be pushed at the moment: %s", error)
                failing = True
            await asyncio.sleep(MAX_INTERVAL_S)

    async def _read(self) -> None:
        reading = await dashboard.read(self._redis)
        if not reading.same_as(self._newest):
            self._newest = reading
            self._number += 1
            self._wake()

    async def _notifications(self) -> AsyncGenerator[None, None]:
        """Yield once at the beginning, then where something may have changed, at most every MIN_INTERVAL_S."""
        client: Redis = Redis.from_url(
            self._url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=MAX_INTERVAL_S
        )
        database = client.connection_pool.connection_kwargs.get("db", 0)
        async with client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
            keys = (MetricKeys(pipeline).total_orders for pipeline in Pipeline)
            await pubsub.subscribe(*(f"__keyspace@{database}__:{key}" for key in keys))
            while True:
                began_s = time.monotonic()
                yield
                await asyncio.sleep(MIN_INTERVAL_S - (time.monotonic() - began_s))
                await _drain(pubsub)


async def _drain(pubsub: PubSub) -> None:
    """Wait for a notification, and take all others that are there."""
    timeout_s = MAX_INTERVAL_S
    deadline_s = time.monotonic() + MAX_INTERVAL_S
    while time.monotonic() < deadline_s:
        # Also None of a confirmation that is ignored: only the clock tells that the time is over.
        if await pubsub.get_message(timeout=timeout_s) is not None:
            timeout_s = 0.0
        elif timeout_s == 0.0:
            return
