"""``coffee replay v2``: what dead workers have left pending is taken over at once, not after some seconds.

Their entries are made to look old, and the next look of a running worker claims them as it would anyway. A
consumer that only seemed dead loses nothing by it: an entry counts where its acknowledgement takes effect, once.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from backend.lab.resources import lua
from backend.lab.servers import open_servers
from backend.stream_worker.group import MIN_IDLE_MS
from coffee_core.errors import CoffeeError
from coffee_core.keys import STREAM, STREAM_GROUP
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

DEAD_AFTER_MS = 1_500
"""A worker reads every 500 ms; one that has missed three of its reads is taken for dead."""
_LOOK_FOR_S = 3.0
_WITHIN_S = 30.0
_STEP_S = 0.1
_AT_ONCE = 1_000
Tell = Callable[[int, int], None]
"""Told how many entries are dealt with, and how many there are."""


@dataclass(frozen=True, slots=True)
class TakenOver:
    """Entries that a running worker has taken over and finished."""

    pipeline: Pipeline
    entries: int
    """How many."""
    consumers: dict[str, int]
    """Dead consumer → entries that it had left."""
    seconds: float
    """How long it took."""


async def replay_v2(settings: Settings, tell: Tell, within_s: float = _WITHIN_S) -> TakenOver:
    """Let go of what the dead have left, and return once it is finished.

    Raises UnreachableError, and CoffeeError where no worker takes it over; it stays pending then.
    """
    started = time.monotonic()
    async with open_servers(settings) as servers:
        left = await _let_go(servers.client)
        await _finished(servers.client, list(left), tell, within_s)
    consumers: dict[str, int] = {}
    for consumer in left.values():
        consumers[consumer] = consumers.get(consumer, 0) + 1
    return TakenOver(Pipeline.V2, len(left), consumers, round(time.monotonic() - started, 1))


async def _let_go(client: Redis) -> dict[str, str]:
    """Return entry → its dead consumer. A consumer that may have died just now is looked at for a while."""
    script = client.register_script(lua("replay_v2"))
    left: dict[str, str] = {}
    give_up_at = time.monotonic() + _LOOK_FOR_S
    while await client.exists(STREAM):
        kept, *found = await script(keys=(STREAM,), args=(STREAM_GROUP, DEAD_AFTER_MS, MIN_IDLE_MS))
        left |= dict(zip(found[::2], found[1::2], strict=True))
        if left or not kept or time.monotonic() > give_up_at:
            break
        await asyncio.sleep(_STEP_S)
    return left


async def _finished(client: Redis, ids: list[str], tell: Tell, within_s: float) -> None:
    waiting = ids
    give_up_at = time.monotonic() + within_s
    while waiting:
        looked_at, rest = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
        pipe = client.pipeline(transaction=False)
        for each in looked_at:
            pipe.xpending_range(STREAM, STREAM_GROUP, each, each, 1)
        answers: list[Any] = await pipe.execute()
        still = [each for each, pending in zip(looked_at, answers, strict=True) if pending]
        if len(still) < len(looked_at):
            give_up_at = time.monotonic() + within_s
        waiting = still + rest
        tell(len(ids) - len(waiting), len(ids))
        if waiting and time.monotonic() > give_up_at:
            raise CoffeeError(
                f"{len(waiting):,} of {len(ids):,} entries are let go of and no worker finishes them: does a"
                " stream-worker run? `coffee status` tells"
            )
        if still:
            await asyncio.sleep(_STEP_S)
