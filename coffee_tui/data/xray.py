"""The way of one order as the API writes it down, and the six keys before and after it."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coffee_core.keys import MetricKeys
from coffee_core.metrics import parse_totals
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings
from coffee_core.totals import Totals
from coffee_core.xray import Step
from coffee_tui.data.connection import one_line

if TYPE_CHECKING:
    from redis.asyncio import Redis

_TIMEOUT_S = 3.0
_LOOK_EVERY_S = 0.05
_NOT_STORED = "accepted, and no row yet: its way is shown once it is stored"


@dataclass(frozen=True, slots=True)
class XRayView:
    """What is known of one order's way."""

    message_id: str = ""
    """Which order."""
    steps: tuple[Step, ...] = ()
    """Its steps; none before it is stored."""
    trouble: str = ""
    """Why there are none."""


async def fetch_xray(settings: Settings, pipeline: Pipeline, message_id: str) -> XRayView:
    """GET the way of an order; a failure is its ``trouble``, none is raised."""
    from aiohttp import ClientError, ClientSession, ClientTimeout

    url = f"{settings.api_url}/api/{pipeline}/order/{message_id}/xray"
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=_TIMEOUT_S), headers=settings.authorization) as session,
            session.get(url) as answer,
        ):
            body: Any = await answer.json(content_type=None)
            if answer.status != 200:
                detail = body.get("detail") if isinstance(body, dict) else None
                return XRayView(message_id, trouble=str(detail or f"the API answers {answer.status}"))
            steps = tuple(Step(**step) for step in body["steps"])
            return XRayView(message_id, steps, "" if steps else _NOT_STORED)
    except (ClientError, OSError, TimeoutError) as error:
        return XRayView(message_id, trouble=one_line(error))
    except (KeyError, TypeError, ValueError) as error:
        return XRayView(message_id, trouble=f"the API's answer cannot be read ({type(error).__name__})")


class KeysWatch:
    """The six keys of one pipeline: what they held before an order was sent, and what once they have changed."""

    def __init__(self, settings: Settings, pipeline: Pipeline) -> None:
        self._settings = settings
        self._keys = MetricKeys(pipeline)
        self.before: Totals | None = None
        """None where nobody has looked."""
        self.after: Totals | None = None
        """None until they have changed."""
        self.trouble = ""
        """Why they cannot be read; empty where they can."""

    async def look(self) -> None:
        """Read them as they are before the order is sent."""
        self.before = await self._read()

    async def wait(self) -> None:
        """Read them again and again until they have changed, or cannot be read, or this is cancelled."""
        while self.before is not None and not self.trouble:
            found = await self._read()
            if found is not None and found != self.before:
                self.after = found
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    def changes(self) -> dict[str, str]:
        """Return each key with what it held before and after; of a hash, the fields that have changed."""
        if self.before is None:
            return {}
        before, after = self.before, self.after
        changed = {
            self._keys.total_orders: _arrow(before.orders, None if after is None else after.orders),
            self._keys.total_revenue: _arrow(before.revenue_cents, None if after is None else after.revenue_cents),
        }
        for key, was, now in zip(self._keys.hashes, before.hashes, (after or before).hashes, strict=True):
            fields = [name for name in was if after is None or now[name] != was[name]]
            arrows = [f"{name} {_arrow(was[name], None if after is None else now[name])}" for name in fields]
            changed[key] = " · ".join(arrows)
        return changed

    async def _read(self) -> Totals | None:
        from redis.exceptions import RedisError

        from coffee_tui.data.redis_reader import connect

        try:
            async with connect(self._settings.redis_url) as client:
                return await _totals(client, self._keys)
        except (RedisError, OSError, TimeoutError, ValueError) as error:
            self.trouble = one_line(error)
            return None


async def _totals(client: "Redis", keys: MetricKeys) -> Totals:
    async with client.pipeline(transaction=True) as batch:
        batch.get(keys.total_orders)
        batch.get(keys.total_revenue)
        for key in keys.hashes:
            batch.hgetall(key)
        orders, revenue, *hashes = await batch.execute()
    return parse_totals(orders, revenue, hashes)


def _arrow(before: int, after: int | None) -> str:
    return f"{before:,} → {'…' if after is None else f'{after:,}'}"
