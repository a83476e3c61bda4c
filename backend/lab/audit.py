"""The audit: a balance of each pipeline, taken again for a while where something does not add up yet."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from backend.clients.servers import Servers, open_servers
from backend.pipelines.balance import Balance
from backend.pipelines.v1_direct.audit import audit_v1
from backend.pipelines.v2_streams.audit import audit_v2
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V1, V2
from coffee_core.settings import Settings

_PAUSE_S = 0.25


async def audit(
    settings: Settings,
    pipelines: Sequence[Pipeline],
    *,
    settle_s: float = 5.0,
    unique_timestamps: bool = False,
    deep: bool = False,
) -> list[Balance]:
    """Return the balance of each pipeline.

    A difference is looked at again for up to ``settle_s`` seconds: a flushed metric heals by itself, a row follows
    what was shown of it. With ``unique_timestamps`` the same order under two ids is a duplicate; ``deep`` compares
    ids one by one. Raises UnreachableError, and CoffeeError where a server refuses.
    """
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(open_servers(settings))
        looks = {
            pipeline: await _look(stack, servers, pipeline, unique_timestamps, deep) for pipeline in pipelines
        }
        return await settled(looks, settle_s)


async def settled(looks: dict[Pipeline, Callable[[], Awaitable[Balance]]], settle_s: float) -> list[Balance]:
    """Look at each pipeline until it is balanced, or for ``settle_s`` seconds."""
    started = time.monotonic()
    balances = {pipeline: await look() for pipeline, look in looks.items()}
    while time.monotonic() - started < settle_s:
        open_ones = [pipeline for pipeline, balance in balances.items() if not balance.balanced]
        if not open_ones:
            break
        await asyncio.sleep(_PAUSE_S)
        for pipeline in open_ones:
            balance = await looks[pipeline]()
            if balance.balanced:
                balance = balance.saying(f"after {time.monotonic() - started:.1f} s")
            balances[pipeline] = balance
    return list(balances.values())


async def _look(
    stack: AsyncExitStack, servers: Servers, pipeline: Pipeline, unique: bool, deep: bool
) -> Callable[[], Awaitable[Balance]]:
    if pipeline == V1:
        return lambda: audit_v1(servers, unique_timestamps=unique)
    if pipeline == V2:
        return lambda: _v2(servers, unique, deep)
    # Loaded only where there is a Kafka to ask.
    from backend.clients.kafka import open_logs
    from backend.pipelines.v3_kafka.audit import audit_v3, deep_v3

    logs = await stack.enter_async_context(open_logs(servers.settings))

    async def v3() -> Balance:
        balance = await audit_v3(servers, logs, unique_timestamps=unique)
        return replace(balance, deep=await deep_v3(servers, logs)) if deep else balance

    return v3


async def _v2(servers: Servers, unique: bool, deep: bool) -> Balance:
    from backend.pipelines.v2_streams.audit import deep_v2

    balance = await audit_v2(servers, unique_timestamps=unique)
    return replace(balance, deep=await deep_v2(servers)) if deep else balance
