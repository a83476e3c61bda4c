"""The audit: a balance of each pipeline, taken again for a while where something does not add up yet."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack

from backend.clients.servers import open_servers
from backend.pipelines.balance import Balance
from backend.pipelines.operations import operations_of
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings


async def audit(
    settings: Settings,
    pipelines: Sequence[Pipeline],
    *,
    settle_s: float = 5.0,
    unique_timestamps: bool = False,
    deep: bool = False,
) -> list[Balance]:
    """Return the balance of each pipeline.

    One that is not balanced is taken again for up to ``settle_s`` seconds: a flushed metric heals by itself, a row
    follows what was shown of it. With ``unique_timestamps`` the same order under two ids is a duplicate; ``deep``
    compares ids one by one. Raises UnreachableError, and CoffeeError where a server refuses.
    """
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(open_servers(settings))
        audits = {
            pipeline: await operations_of(pipeline).open_audit(
                stack, servers, unique_timestamps=unique_timestamps, deep=deep
            )
            for pipeline in pipelines
        }
        return await _repeat_until_balanced(audits, settle_s)


_PAUSE_S = 0.25


async def _repeat_until_balanced(
    audits: Mapping[Pipeline, Callable[[], Awaitable[Balance]]], settle_s: float
) -> list[Balance]:
    started_s = time.monotonic()
    balances = {pipeline: await take_balance() for pipeline, take_balance in audits.items()}
    while time.monotonic() - started_s < settle_s:
        unbalanced = [pipeline for pipeline, balance in balances.items() if not balance.balanced]
        if not unbalanced:
            break
        await asyncio.sleep(_PAUSE_S)
        for pipeline in unbalanced:
            balance = await audits[pipeline]()
            if balance.balanced:
                balance = balance.with_notes(f"after {time.monotonic() - started_s:.1f} s")
            balances[pipeline] = balance
    return list(balances.values())
