"""The windows in event time as the dashboard reads them: from Redis where they are kept, else from the API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coffee_core.clock import now_us
from coffee_core.keys import MetricKeys
from coffee_core.metrics import whole_number
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings
from coffee_core.windows import SHOWN_MINUTES, StoreSums, Windows, starts
from coffee_tui.data.connection import one_line
from coffee_tui.data.readings import ReadingError

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from redis.asyncio import Redis

_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class WindowsView:
    """What is shown of one pipeline's windows."""

    windows: Windows | None = None
    """The last ones; None where they are not known."""
    problem: str = ""
    """Why they are not known, or no longer read."""


async def read_redis(settings: Settings, pipeline: Pipeline, last: WindowsView) -> WindowsView:
    """Read Redis; where that fails, the last windows stay, with the reason."""
    from redis.exceptions import RedisError

    from coffee_tui.data.redis_reader import connect

    try:
        async with connect(settings.redis_url) as client:
            return WindowsView(await _of_redis(client, MetricKeys(pipeline), starts(now_us(), SHOWN_MINUTES)))
    except (RedisError, OSError, TimeoutError, ReadingError) as error:
        return WindowsView(last.windows, one_line(error))


async def read_api(settings: Settings, pipeline: Pipeline, last: WindowsView) -> WindowsView:
    """Ask the API; where that fails, the last windows stay, with the reason."""
    from aiohttp import ClientError, ClientSession

    try:
        async with ClientSession(headers=settings.authorization) as session:
            return WindowsView(await _of_api(session, settings.api_url, pipeline))
    except (ClientError, OSError, TimeoutError, ReadingError) as error:
        return WindowsView(last.windows, one_line(error))


async def _of_redis(client: "Redis", keys: MetricKeys, known: Sequence[int]) -> Windows:
    async with client.pipeline(transaction=True) as batch:
        batch.get(keys.watermark)
        for key in (*map(keys.window, known), keys.late):
            batch.hgetall(key)
        watermark, *found = await batch.execute()
    try:
        *windows, late = map(StoreSums.of_fields, found)
        watermark_us = None if watermark is None else whole_number("watermark", watermark) * 1_000
    except ValueError as error:
        raise ReadingError(f"a window holds no whole number: {error}") from error
    return Windows(dict(zip(known, windows, strict=True)), late, watermark_us)


async def _of_api(session: "ClientSession", api_url: str, pipeline: Pipeline) -> Windows:
    from aiohttp import ClientTimeout

    path = f"/api/{pipeline}/windows"
    timeout = ClientTimeout(total=_TIMEOUT_S)
    async with session.get(f"{api_url}{path}", params={"minutes": SHOWN_MINUTES}, timeout=timeout) as answer:
        if answer.status != 200:
            raise ReadingError(f"GET {path} answered {answer.status}")
        try:
            body: dict[str, Any] = await answer.json(content_type=None)
            windows = {window["start_us"] // 1_000_000: _sums(window) for window in body["windows"]}
            return Windows(windows, _sums(body["late"]), body["watermark_us"])
        except (ValueError, KeyError, TypeError) as error:
            raise ReadingError(f"GET {path} answered something else: {error}") from error


def _sums(window: Mapping[str, Any]) -> StoreSums:
    return StoreSums(window["store_counts"], window["store_revenue_cents"])
