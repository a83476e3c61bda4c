"""What the dashboard shows: read from Redis at one moment, pushed on change, and the windows in event time."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from backend.api.problems import INVALID, NO_WINDOWS, OVERLOADED, UNAVAILABLE, ProblemError
from backend.clients.redis import RedisClient
from backend.pipelines.windows import WindowsSource
from coffee_core.clock import now_us
from coffee_core.errors import OutcomeUnknownError, UnavailableError
from coffee_core.keys import STREAM, MetricKeys
from coffee_core.menu import DRINKS, STORES
from coffee_core.metrics import READS, Metrics, parse_metrics, read_commands, whole_number
from coffee_core.pipelines import PIPELINES, LogKind, Pipeline
from coffee_core.tasks import end_tasks
from coffee_core.windows import LATE_AFTER_S, MOST_MINUTES, SHOWN_MINUTES, WINDOW_S, StoreSums, Windows, starts

_log = logging.getLogger(__name__)

MIN_INTERVAL_S = 0.1
"""Seconds between two readings: at most ten a second, however many notifications come."""
MAX_INTERVAL_S = 2.0
"""Seconds after which it reads without a notification: one may be lost, or the server sends none."""
QUIET_S = 15.0
"""Seconds without a change after which a watcher is handed None, to see whether its client is still there."""
MAX_WATCHERS = 200
"""Most watchers at once."""
_UNCACHED = {"Cache-Control": "no-store"}
_TRY_AGAIN_LATER = 1013
"""Code of a websocket that is closed because there are too many watchers."""
STREAMS = {
    pipeline: pipeline.info.log.name
    for pipeline in PIPELINES
    if pipeline.info.log is not None and pipeline.info.log.kind is LogKind.STREAM
}
"""Pipeline whose log is a Redis stream → its key."""
_COMMANDS = [
    ("TIME",),
    *(("XLEN", stream) for stream in STREAMS.values()),
    *(command for pipeline in PIPELINES for command in read_commands(MetricKeys(pipeline))),
]


class Reading:
    """One snapshot of all pipelines."""

    def __init__(self, replies: Sequence[Any]) -> None:
        (seconds, micros), *rest = replies
        self.time_us = int(seconds) * 1_000_000 + int(micros)
        """When, by the clock of Redis: µs since the epoch."""
        self.waiting = {pipeline: int(rest.pop(0)) for pipeline in STREAMS}
        """Pipeline whose log is a Redis stream → entries that no worker has finished."""
        self.stream_entries = next(
            self.waiting[pipeline] for pipeline, stream in STREAMS.items() if stream == STREAM
        )
        """The same of ``orders:stream``, as ``Dashboard`` has it."""
        parts = (rest[start : start + READS] for start in range(0, len(rest), READS))
        metrics = {str(pipeline): _metrics(part) for pipeline, part in zip(PIPELINES, parts, strict=True)}
        self.totals = {pipeline: _as_json(shown) for pipeline, shown in metrics.items()}
        """Pipeline → ``Totals`` of openapi.yaml."""
        self.latency = {pipeline: shown.latency for pipeline, shown in metrics.items()}
        """Pipeline → bucket of ``coffee_core.latency`` → orders that became visible that late."""

    def same_as(self, other: "Reading | None") -> bool:
        """Tell whether nothing has changed but the time."""
        return other is not None and (self.waiting, self.totals) == (other.waiting, other.totals)

    def json(self) -> bytes:
        """Return ``Dashboard`` of openapi.yaml, in one line."""
        content = {"time_us": self.time_us, "stream_entries": self.stream_entries, "pipelines": self.totals}
        return json.dumps(content, separators=(",", ":")).encode()


async def read(redis: RedisClient) -> Reading:
    """Read everything in one MULTI.

    Raises UnavailableError, also where a key holds what no pipeline writes, or OutcomeUnknownError where no answer
    came.
    """
    replies = await redis.read_at_once(*_COMMANDS)
    try:
        return Reading(replies)
    except ValueError as error:
        raise UnavailableError(f"a metric key holds no whole number ({error})") from error


def _metrics(replies: Sequence[Any]) -> Metrics:
    orders, revenue, *hashes = replies
    return parse_metrics((orders, revenue, *map(_texts, hashes)))


def _as_json(metrics: Metrics) -> dict[str, Any]:
    totals, counters = metrics.totals, metrics.counters
    update = counters.get("last_update_us")
    return {
        "orders": totals.orders,
        "revenue_cents": totals.revenue_cents,
        "drink_counts": {drink: totals.drink_counts[drink] for drink in DRINKS},
        "drink_revenue_cents": {drink: totals.drink_revenue_cents[drink] for drink in DRINKS},
        "store_counts": {store: totals.store_counts[store] for store in STORES},
        "store_revenue_cents": {store: totals.store_revenue_cents[store] for store in STORES},
        "duplicates": whole_number("duplicates", counters.get("duplicates")),
        "dead_letters": whole_number("dead", counters.get("dead")),
        "last_update_us": None if update is None else whole_number("last_update_us", update),
    }


def _texts(flat: Sequence[bytes]) -> dict[str, str]:
    return {field.decode(): value.decode() for field, value in zip(flat[::2], flat[1::2], strict=True)}


class DashboardFeed:
    """Pushes the newest snapshot to every watcher on each change; a slow watcher misses those in between.

    One subscription and one reading serve all of them, however many watch.
    """

    def __init__(self, redis: RedisClient, url: str, closing: asyncio.Event) -> None:
        self._redis = redis
        self._url = url
        self._closing = closing
        self._watchers = 0
        self._task: asyncio.Task[None] | None = None
        self._newest: Reading | None = None
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
        """End every watch as soon as ``closing`` is set."""

        async def end() -> None:
            await self._closing.wait()
            self._wake()

        task = asyncio.create_task(end())
        try:
            yield
        finally:
            await end_tasks(task)

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
            await end_tasks(task)

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
                    _log.warning("the dashboard cannot be pushed at the moment: %s", error)
                failing = True
            await asyncio.sleep(MAX_INTERVAL_S)

    async def _read(self) -> None:
        reading = await read(self._redis)
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
            keys = (MetricKeys(pipeline).total_orders for pipeline in PIPELINES)
            await pubsub.subscribe(*(f"__keyspace@{database}__:{key}" for key in keys))
            while True:
                began_s = time.monotonic()
                yield
                await asyncio.sleep(MIN_INTERVAL_S - (time.monotonic() - began_s))
                await _drain(pubsub)


async def _drain(pubsub: PubSub) -> None:
    """Wait for a notification, and drop all others that have arrived."""
    timeout_s = MAX_INTERVAL_S
    deadline_s = time.monotonic() + MAX_INTERVAL_S
    while time.monotonic() < deadline_s:
        # An ignored confirmation returns None too, so only the clock shows whether the time is over.
        if await pubsub.get_message(timeout=timeout_s) is not None:
            timeout_s = 0.0
        elif timeout_s == 0.0:
            return


def routes(redis: RedisClient, feed: DashboardFeed) -> list[BaseRoute]:
    """Return /api/dashboard, /api/events (server-sent events) and /ws/dashboard; they raise ProblemError."""

    async def once(_: Request) -> Response:
        try:
            reading = await read(redis)
        except (UnavailableError, OutcomeUnknownError) as error:
            raise ProblemError(UNAVAILABLE, str(error)) from error
        return Response(reading.json(), media_type="application/json", headers=_UNCACHED)

    async def events(request: Request) -> Response:
        feed.require_room()
        if request.method == "HEAD":  # the stream itself would not end
            return Response(media_type="text/event-stream", headers=_UNCACHED)
        return StreamingResponse(_events(feed), media_type="text/event-stream", headers=_UNCACHED)

    async def websocket(socket: WebSocket) -> None:
        await socket.accept()
        tasks = [asyncio.create_task(_push(socket, feed)), asyncio.create_task(_until_gone(socket))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end_tasks(*tasks)
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            # A client that disconnects during a send is no error.
            if isinstance(error, Exception) and not isinstance(error, WebSocketDisconnect):
                raise error

    return [
        Route("/api/dashboard", once),
        Route("/api/events", events),
        WebSocketRoute("/ws/dashboard", websocket),
    ]


async def _events(feed: DashboardFeed) -> AsyncIterator[bytes]:
    async with aclosing(feed.watch()) as snapshots:
        async for snapshot in snapshots:
            # A comment is no event: it only shows whether the client is still there.
            yield b": quiet\n\n" if snapshot is None else b"data: " + snapshot + b"\n\n"


async def _push(socket: WebSocket, feed: DashboardFeed) -> None:
    try:
        async with aclosing(feed.watch()) as snapshots:
            async for snapshot in snapshots:
                if snapshot is not None:
                    await socket.send_text(snapshot.decode())
    except ProblemError as problem:
        await socket.close(_TRY_AGAIN_LATER, problem.detail)
    else:
        await socket.close(1001, "the API ends")


async def _until_gone(socket: WebSocket) -> None:
    # Messages of the client are ignored.
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def windows_route(pipeline: Pipeline, source: WindowsSource | None) -> Route:
    """Return GET /api/v…/windows: the last windows, and what came too late for one; it raises ProblemError."""

    async def windows(request: Request) -> Response:
        if source is None:
            raise ProblemError(NO_WINDOWS, f"{pipeline} would need event time, state of its own and a watermark")
        time_us = now_us()
        known = starts(time_us, _minutes(request.query_params.get("minutes", str(SHOWN_MINUTES))))
        try:
            found = await source.read(known, time_us)
        except (UnavailableError, OutcomeUnknownError) as error:
            raise ProblemError(UNAVAILABLE, str(error)) from error
        return JSONResponse(windows_json(found, time_us), headers=_UNCACHED)

    return Route(f"/api/{pipeline}/windows", windows, methods=["GET"])


def _minutes(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= MOST_MINUTES:
        return int(text)
    raise ProblemError(INVALID, f"minutes: must be a whole number from 1 to {MOST_MINUTES}", field="minutes")


def windows_json(found: Windows, time_us: int) -> dict[str, Any]:
    """Return ``LastWindows`` of openapi.yaml."""
    return {
        "time_us": time_us,
        "watermark_us": found.watermark_us,
        "window_s": WINDOW_S,
        "late_after_s": LATE_AFTER_S,
        "windows": [
            {"start_us": start_s * 1_000_000, "final": found.is_final(start_s), **_sums(sums)}
            for start_s, sums in found.windows.items()
        ],
        "late": _sums(found.late),
    }


def _sums(sums: StoreSums) -> dict[str, Any]:
    return {"orders": sums.orders, "revenue_cents": sums.revenue_cents, **asdict(sums)}
